"""ensemble_pipeline.sh with stand-ins for the commands: order, settings, failures, what is repeated and what is not."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.competitions.heart_project import ROOT

COMMANDS = (
    *("plan_and_preprocess", "preprocess", "train", "find_best_configuration", "predict", "ensemble"),
    "apply_postprocessing",
)
STAND_INS = Path(__file__).with_name("stand_ins.py")

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with data that are named already, and an interpreter with stand-ins beside it."""
    raw = tmp_path / "nnUNet_raw" / "Dataset100_Heart"
    for folder, name in (("imagesTr", "_0000"), ("labelsTr", ""), ("imagesTs", "_0000")):
        (raw / folder).mkdir(parents=True)
        for number in (5, 6) if folder == "imagesTs" else range(1, 5):
            (raw / folder / f"patient_{number:03d}{name}.nii.gz").write_text(f"{folder} {number}")
    (raw / "dataset.json").write_text(json.dumps({"labels": {"background": 0}, "file_ending": ".nii.gz"}))
    (tmp_path / "bin").mkdir()
    scripts = {"python": f'exec "{sys.executable}" "$@"'}
    scripts |= {f"nnUNetv2_{name}": f'exec "{sys.executable}" -S "{STAND_INS}" {name} "$@"' for name in COMMANDS}
    for name, line in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def start(project: Path, **settings: str) -> subprocess.Popen:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
    variables = {"PYTHON": str(project / "bin" / "python"), "FOLDS": "0 1", "DEVICE": "cpu"} | settings
    return subprocess.Popen(
        ["bash", str(ROOT / "ensemble_pipeline.sh")],
        cwd=project,
        env=inherited | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(project: Path, **settings: str) -> tuple[int, str, list[str]]:
    """Exit status, output and the commands that were called (without the arguments that are always the same)."""
    (project / "calls").write_text("")
    process = start(project, **settings)
    output, _ = process.communicate()
    calls = (project / "calls").read_text().splitlines()
    return process.returncode, output, calls


def names(calls: list[str]) -> list[str]:
    return [call.split()[0] for call in calls]


def test_one_configuration_goes_straight_to_the_zip_and_again_does_nothing(project):
    status, output, calls = run(project)
    assert status == 0, output
    assert names(calls) == [
        *("plan_and_preprocess", "preprocess", "train", "train"),
        *("find_best_configuration", "predict", "apply_postprocessing"),
    ]
    assert "--verify_dataset_integrity" in calls[0]
    assert [call.split()[1:4] for call in calls[2:4]] == [["100", "3d_fullres", fold] for fold in "01"]
    assert all("--npz" in call and "--c" not in call for call in calls[2:4])
    assert "--save_probabilities" not in calls[5]
    with zipfile.ZipFile(project / "predict.zip") as archive:
        assert archive.namelist() == ["patient0005_predict.nii.gz", "patient0006_predict.nii.gz"]
    assert run(project)[2] == []


@pytest.mark.slow
def test_changes_repeat_what_depends_on_them_and_nothing_else(project):
    run(project)
    raw = project / "nnUNet_raw" / "Dataset100_Heart"

    (raw / "imagesTs" / "patient_007_0000.nii.gz").write_text("a new test image")
    status, output, calls = run(project)
    assert status == 0, output
    assert names(calls) == ["predict", "apply_postprocessing"]
    assert len(zipfile.ZipFile(project / "predict.zip").namelist()) == 3

    (project / "predict_pp" / "patient0007_predict.nii.gz").unlink()
    (project / "predict.zip").write_bytes(b"damaged")
    assert names(run(project)[2]) == ["apply_postprocessing"]
    assert zipfile.is_zipfile(project / "predict.zip")

    (raw / "labelsTr" / "patient_001.nii.gz").write_text("corrected")
    status, output, calls = run(project)
    assert (status, calls) == (1, [])
    assert "move" in output and "stopped in this step: plan" in output
    for record in (project / "nnUNet_preprocessed" / "Dataset100_Heart").glob(".*.pipeline_step.json"):
        record.unlink()
    status, output, calls = run(project)
    assert (status, calls) == (1, []), "networks of other data stay as they are, too"
    assert "fold_0 was trained with other data" in output


@pytest.mark.slow
def test_a_failure_names_the_step_and_the_next_start_goes_on_there(project):
    (project / "fail").write_text("predict")
    status, output, _ = run(project)
    assert status == 3
    assert "stopped in this step: predict 3d_fullres (status 3)" in output
    assert "start the script again" in output
    (project / "fail").unlink()
    assert names(run(project)[2]) == ["predict", "apply_postprocessing"]


@pytest.mark.slow
def test_a_fold_that_is_trained_but_not_validated_is_only_validated(project):
    (project / "die_before_validation").write_text("")
    assert run(project)[0] == 3
    status, output, calls = run(project)
    assert status == 0, output
    assert names(calls)[:2] == ["train", "train"]
    assert "--val --npz" in calls[0], calls
    assert "--val" not in calls[1]


@pytest.mark.slow
def test_a_cascade_predicts_in_the_order_of_its_stages_and_all_members_are_averaged(project):
    chosen = {"CONFIGURATIONS": "3d_lowres 3d_cascade_fullres", "ENSEMBLE": "best"}
    status, output, calls = run(project, **chosen)
    assert status == 0, output
    found = names(calls)
    assert found.count("train") == 4 and found.count("preprocess") == 2
    first, second = (call for call in calls if call.startswith("predict"))
    assert "-o predict_3d_lowres" in first and "-prev_stage_predictions" not in first
    assert "-prev_stage_predictions predict_3d_lowres" in second
    assert "--save_probabilities" in first and "--save_probabilities" in second
    assert "ensemble -i predict_3d_lowres predict_3d_cascade_fullres -o predict_ensemble" in calls
    assert calls[-1].startswith("apply_postprocessing -i " + str(project / "predict_ensemble"))
    assert run(project, **chosen)[2] == []


def test_a_cascade_without_its_first_stage_is_refused_before_any_training(project):
    status, output, calls = run(project, CONFIGURATIONS="3d_cascade_fullres")
    assert status == 1
    assert "name 3d_lowres before 3d_cascade_fullres" in output
    assert names(calls) == ["plan_and_preprocess"]


def test_files_of_others_in_the_way_are_kept_and_named(project):
    (project / "predict_pp").mkdir()
    (project / "predict_pp" / "patient_005.nii.gz").write_text("by hand")
    status, output, _ = run(project)
    assert status == 1
    assert "predict_pp holds files that this pipeline did not make" in output
    assert (project / "predict_pp" / "patient_005.nii.gz").read_text() == "by hand"


def test_a_start_waits_for_a_command_that_is_still_at_work(project):
    (project / "nnUNet_results").mkdir()
    (project / "fail").write_text("plan_and_preprocess")
    with open(project / "nnUNet_results" / ".ensemble_pipeline.lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        process = start(project)
        line = process.stdout.readline()
        assert "still at work" in line
        time.sleep(0.3)
        assert process.poll() is None
        assert not (project / "calls").exists()
    output, _ = process.communicate()
    assert process.returncode == 3, output
    assert (project / "calls").read_text().startswith("plan_and_preprocess")
