"""Trained models of a tiny data set: real files in the places where training leaves them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from nnunetv2.training.checkpoint import write_checkpoint

DATASET = "Dataset997_Tiny"
FULLRES, FLAT = "nnUNetTrainer__nnUNetPlans__3d_fullres", "nnUNetTrainer__nnUNetPlans__2d"
ENSEMBLE = f"ensemble___{FULLRES}___{FLAT}___0_1"


def checkpoint() -> dict:
    return {
        "network_weights": {"conv.weight": torch.arange(60.0).reshape(3, 4, 5)},
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.randn(200, 200)}}},
        "grad_scaler_state": None,
        "logging": {"train_losses": [0.5]},
        "_best_ema": 0.7,
        "current_epoch": 1000,
        "init_args": {"configuration": "3d_fullres", "fold": 0},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }


def write_model(folder: Path, folds=(0, 1)) -> Path:
    """A model folder with everything training, validation and model selection leave there."""
    folder.mkdir(parents=True)
    for name in ("plans.json", "dataset.json", "dataset_fingerprint.json"):
        (folder / name).write_text(json.dumps({"file": name}))
    for fold in folds:
        part = folder / f"fold_{fold}"
        (part / "validation").mkdir(parents=True)
        write_checkpoint(part / "checkpoint_final.pth", checkpoint())
        write_checkpoint(part / "checkpoint_best.pth", checkpoint())
        for name in ("progress.png", "debug.json", "training_log_2024_1_1_00_00_00.txt"):
            (part / name).write_text(name)
        for name in ("summary.json", f"case_{fold}.nii.gz", f"case_{fold}.npz", f"case_{fold}.pkl"):
            (part / "validation" / name).write_text(name)
    write_results(folder / "crossval_results_folds_0_1")
    return folder


def write_results(folder: Path) -> None:
    folder.mkdir(parents=True)
    for name in ("summary.json", "postprocessing.pkl", "postprocessing.json", "case_0.nii.gz", "case_0.npz"):
        (folder / name).write_text(name)


@pytest.fixture
def trained(folders) -> Path:
    """The results folder of the data set with two models, an ensemble of them, and the report about the choice."""
    dataset = folders["nnUNet_results"] / DATASET
    write_model(dataset / FULLRES)
    write_model(dataset / FLAT)
    write_results(dataset / "ensembles" / ENSEMBLE)
    (dataset / "inference_information.json").write_text("{}")
    (dataset / "inference_instructions.txt").write_text("predict")
    return dataset


def names_in(path: Path) -> set[str]:
    """Names in a zip file below the data set's folder."""
    with zipfile.ZipFile(path) as archive:
        assert {name.split("/")[0] for name in archive.namelist()} == {DATASET}
        return {name.partition("/")[2] for name in archive.namelist()}


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` with its content."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


MODEL_FILES = {
    f"{DATASET}/{FULLRES}/plans.json": b"{}",
    f"{DATASET}/{FULLRES}/dataset.json": b"{}",
    f"{DATASET}/{FULLRES}/fold_0/checkpoint_final.pth": b"weights",
}


def write_zip(path: Path, entries: Mapping[str | zipfile.ZipInfo, bytes] | None = None, **more: bytes) -> Path:
    """A zip file with the smallest complete model, and further ``entries``; None as content leaves an entry out."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**MODEL_FILES, **(entries or {}), **more}.items():
            if content is not None:
                archive.writestr(name, content)
    return path
