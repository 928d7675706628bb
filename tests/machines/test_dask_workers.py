"""The commands on two dask workers give the files they give here, also when a worker is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.evaluation.commands import evaluate_simple_entry_point
from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import (
    extract_fingerprint_entry,
    plan_and_preprocess_entry,
    preprocess_entry,
)
from nnunetv2.inference.commands import predict_entry_point_modelfolder
from nnunetv2.training.model_folder_files import prepare_folders
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tests.conftest import draw_few_samples, write_tiny_dataset
from tests.machines.scheduler import cluster
from tests.training.tiny_fixtures import preprocessed, preprocessed_template  # noqa: F401
from tests.training.tiny_training import DATASET, make_trainer

pytestmark = pytest.mark.slow
pytest.importorskip("distributed", reason="the extra dask is not installed")


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


def contents(folder: Path) -> dict[str, bytes]:
    """Bytes of every file, without unfinished ones: a killed process leaves the hidden file it was writing."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".tmp"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def in_folder(monkeypatch, folder: Path) -> Path:
    """Preprocessed data goes there from now on."""
    folder.mkdir()
    monkeypatch.setenv("nnUNet_preprocessed", str(folder))
    return folder


def test_measured_and_preprocessed_on_workers_are_the_same_files(two_workers, tiny_dataset, tmp_path, monkeypatch):
    draw_few_samples(monkeypatch)
    common = ["-d", "997", "-c", "3d_fullres", "-np", "1", "--no_pbar", "--verify_dataset_integrity"]
    here = in_folder(monkeypatch, tmp_path / "here")
    plan_and_preprocess_entry([*common, "-npfp", "1"])
    there = in_folder(monkeypatch, tmp_path / "there")
    plan_and_preprocess_entry([*common, "--executor", two_workers.address])
    expected = contents(here)
    assert len([name for name in expected if name.endswith(".b2nd")]) == 12
    assert contents(there) == expected


def _write_model(folders: dict[str, Path]) -> Path:
    trainer = make_trainer(folders, nnUNetTrainer)
    trainer.initialize()
    trainer.inference_allowed_mirroring_axes = (0,)
    prepare_folders(trainer)
    trainer.save_checkpoint(os.path.join(trainer.output_folder, "checkpoint_final.pth"))
    return Path(trainer.output_folder_base)


def test_predicted_and_evaluated_on_workers_are_the_same_files(
    two_workers,
    preprocessed,
    preprocessed_template,
    folders,
    tmp_path,
    monkeypatch,
):
    raw = preprocessed_template.parent.parent / "raw" / DATASET
    model = _write_model(folders)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(raw / "imagesTr", tmp_path / "images")
    common = ["-i", "images", "-m", str(model), "-f", "0", "-device", "cpu", "--save_probabilities"]
    common += ["-npp", "0", "-nps", "0", "--disable_progress_bar"]
    predict_entry_point_modelfolder([*common, "-o", "here"])
    predict_entry_point_modelfolder([*common, "-o", "there", "--executor", two_workers.address])
    here, there = contents(tmp_path / "here"), contents(tmp_path / "there")
    assert set(here) == set(there)
    assert len([name for name in here if name.endswith(".nii.gz")]) == 6
    exact = [name for name in here if not name.endswith((".npz", "args.json"))]
    assert [name for name in exact if here[name] != there[name]] == []
    for name in (name for name in here if name.endswith(".npz")):
        first, second = (np.load(tmp_path / folder / name)["probabilities"] for folder in ("here", "there"))
        np.testing.assert_array_equal(first, second)

    reference = str(raw / "labelsTr")
    for executor in ([], ["--executor", two_workers.address]):
        output = str(tmp_path / f"summary_{len(executor)}.json")
        evaluate_simple_entry_point(
            [reference, str(tmp_path / "here"), "-l", "1", "2", "-np", "1", "-o", output, *executor]
        )
    assert contents(tmp_path)["summary_0.json"] == contents(tmp_path)["summary_2.json"]


def test_a_case_that_fails_on_a_worker_is_named_as_here(two_workers, tiny_dataset, capsys):
    (tiny_dataset / "imagesTr" / "tiny_002_0001.nii.gz").write_bytes(b"not an image")
    with pytest.raises(SystemExit):
        extract_fingerprint_entry(["-d", "997", "--no_pbar", "--executor", two_workers.address])
    errors = capsys.readouterr().err
    assert "tiny_002" in errors
    assert "1 of 6 cases failed" in errors


def _kill_when_half_done(victim, folder: Path, cases: int, seen: list[int]) -> None:
    """SIGKILL the worker once a quarter of the cases lie in ``folder``; notes how many were there then."""
    for _ in range(12000):
        done = len(list(folder.rglob("*.pkl")))
        if done >= cases // 4:
            os.kill(victim.pid, signal.SIGKILL)
            seen.append(done)
            return
        time.sleep(0.005)


def test_a_killed_worker_costs_nothing(folders, tmp_path, monkeypatch):
    draw_few_samples(monkeypatch)
    cases = 24
    write_tiny_dataset(folders["nnUNet_raw"], cases=cases)
    here = in_folder(monkeypatch, tmp_path / "here")
    plan_and_preprocess_entry(["-d", "997", "-c", "3d_fullres", "-np", "1", "-npfp", "1", "--no_pbar"])
    there = in_folder(monkeypatch, tmp_path / "there")
    shutil.copytree(here / DATASET, there / DATASET, ignore=shutil.ignore_patterns("*.b2nd", "*.pkl"))
    seen: list[int] = []
    (tmp_path / "cluster").mkdir()
    with cluster(tmp_path / "cluster", 2) as made:
        killer = threading.Thread(target=_kill_when_half_done, args=(made.workers[0], there, cases, seen))
        killer.start()
        preprocess_entry(["-d", "997", "-c", "3d_fullres", "--no_pbar", "--executor", made.address])
        killer.join()
        assert made.workers[0].wait() == -signal.SIGKILL
        assert made.workers[1].poll() is None
    assert cases // 4 <= seen[0] < cases
    assert contents(there) == contents(here)
    plans = json.loads((there / DATASET / "nnUNetPlans.json").read_text())
    assert plans["dataset_name"] == DATASET
