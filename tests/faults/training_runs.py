"""Seeded trainings of a tiny network as processes, and what two of them have to have in common."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from nnunetv2.records.files import read_json
from nnunetv2.training.checkpoint import read_checkpoint
from tests.training.tiny_training import DATASET

LOGGED = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice", "dice_per_class_or_region", "lrs")
EPOCHS = 10
COMMAND = ["nnUNetv2_train", "997", "tiny", "0", "-tr", "TinyTrainer", "-device", "cpu", "--c", "--seed", "5"]
COMMAND += ["--epochs", str(EPOCHS)]


def fold_folder(folders: dict[str, Path]) -> Path:
    return folders["nnUNet_results"] / DATASET / f"TinyTrainer_ep{EPOCHS}_seed5__nnUNetPlans__tiny" / "fold_0"


def save_often(trainers: Path) -> None:
    """Let the trainer save every third epoch."""
    path = trainers / "tiny_trainer.py"
    path.write_text(path.read_text() + "    save_every = 3\n")


def outcome(fold: Path) -> tuple[dict, dict, dict]:
    """Logged values, final weights, and the scores of the validation."""
    content = read_checkpoint(fold / "checkpoint_final.pth")
    summary = read_json(fold / "validation" / "summary.json")
    return {key: content["logging"][key] for key in LOGGED}, content["network_weights"], summary["mean"]


def assert_same(found: tuple, expected: tuple) -> None:
    """To the last digit."""
    assert found[0] == expected[0]
    assert all(torch.equal(found[1][name], tensor) for name, tensor in expected[1].items())
    assert found[2] == expected[2]


def start_over(fold: Path) -> None:
    shutil.rmtree(fold.parent)
