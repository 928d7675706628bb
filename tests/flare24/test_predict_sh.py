"""predict.sh in a folder laid out as the image is, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import SimpleITK as sitk

from nnunetv2.records.measurements import load_measurements
from tests.flare24.image import DEFAULT, ROOT, SPECIAL, lay_out, published_model, shrunk_model, write_case

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


def predict(workspace: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """``sh predict.sh`` as the container runs it: nothing of our environment but the path."""
    environment = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **variables}
    command = ["sh", "predict.sh", *arguments]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def workspace(tmp_path) -> Path:
    """The layout of the image, with a small model and an empty ``inputs`` folder."""
    folder = tmp_path / "workspace"
    lay_out(folder)
    shrunk_model(folder / "nnUNet_results")
    (folder / "inputs").mkdir()
    return folder


def test_the_script_is_plain_sh_and_stops_at_errors():
    subprocess.run(["sh", "-n", str(ROOT / "predict.sh")], check=True)
    text = (ROOT / "predict.sh").read_text()
    assert text.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in text


@pytest.mark.slow
def test_a_case_that_fails_is_named_and_the_others_are_segmented_under_their_names(workspace):
    write_case(workspace / "inputs" / "with_number_0000.nii.gz", 1)
    write_case(workspace / "inputs" / "plain.nii.gz", 2)
    (workspace / "inputs" / "broken_0000.nii.gz").write_bytes(b"this is no image")
    (workspace / "inputs" / "notes.txt").write_text("not for us")
    done = predict(workspace)
    outputs = workspace / "outputs"
    assert done.returncode == 1
    assert "1 case(s) failed" in done.stderr
    assert "  broken: " in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    assert sorted(path.name for path in outputs.glob("*.nii.gz")) == ["plain.nii.gz", "with_number.nii.gz"]
    for case, image in (("plain", "plain"), ("with_number", "with_number_0000")):
        segmentation = sitk.ReadImage(str(outputs / f"{case}.nii.gz"))
        original = sitk.ReadImage(str(workspace / "inputs" / f"{image}.nii.gz"))
        assert segmentation.GetSize() == original.GetSize()
        assert segmentation.GetOrigin() == pytest.approx(original.GetOrigin())
        assert set(sitk.GetArrayViewFromImage(segmentation).ravel().tolist()) <= {0, 1}
    assert set(load_measurements(outputs / "measurements.csv")) == {"plain", "with_number"}

    (workspace / "inputs" / "broken_0000.nii.gz").unlink()
    made = (outputs / "plain.nii.gz").stat().st_mtime_ns
    assert predict(workspace, "--continue_prediction").returncode == 0
    assert (outputs / "plain.nii.gz").stat().st_mtime_ns == made


@pytest.mark.slow
def test_the_environment_of_these_tests_reaches_neither_network_nor_shared_memory(workspace):
    for attempt in (
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import multiprocessing; multiprocessing.Lock()",
    ):
        python = workspace / ".venv" / "bin" / "python"
        done = subprocess.run([python, "-c", attempt], capture_output=True, text=True, check=False)
        assert "neither network nor shared memory here" in done.stderr


@pytest.mark.slow
def test_without_weights_the_message_says_where_they_belong(workspace):
    write_case(workspace / "inputs" / "a.nii.gz")
    shutil.rmtree(next((workspace / "nnUNet_results").rglob("fold_all")))
    done = predict(workspace)
    assert done.returncode == 1
    assert "checkpoint_final.pth of fold all" in done.stderr
    assert "nnUNet_results/Dataset024_FLARE24_Task1/nnUNetTrainer__nnUNetPlans__3d_fullres_S4D2W32" in done.stderr


@pytest.mark.slow
def test_a_checkpoint_that_names_the_default_trainer_predicts_from_either_folder(workspace):
    write_case(workspace / "inputs" / "a.nii.gz")
    shrunk_model(workspace / "nnUNet_results", folder_trainer=SPECIAL, written_by=DEFAULT)
    for extra in ([], ["-tr", SPECIAL]):
        done = predict(workspace, *extra, OUTPUTS="seg" + "".join(extra))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_published_model_predicts_without_edits(tmp_path):
    """Old plans, labels as text, fold_all, a checkpoint of the special trainer in the folder of the default one."""
    workspace = tmp_path / "workspace"
    lay_out(workspace)
    published_model(workspace / "nnUNet_results", folder_trainer=DEFAULT, written_by=SPECIAL)
    write_case(workspace / "ct" / "case_0000.nii.gz")
    done = predict(workspace, "--disable_tta", INPUTS="ct", OUTPUTS="seg")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (workspace / "seg" / "case.nii.gz").is_file()
