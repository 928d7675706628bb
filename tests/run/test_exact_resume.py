"""A training with ``--seed`` that is interrupted and continued has the losses and weights of an undisturbed one."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from nnunetv2.run import run_training as module
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from tests.training.tiny_training import DATASET

KEYS = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice", "dice_per_class_or_region", "lrs")
WORDS = ("--seed", "11", "--epochs", "4", "--skip_validation")


@pytest.fixture
def fold(preprocessed, folders, tiny_trainer_by_name, monkeypatch) -> Path:
    monkeypatch.setattr(module, "use_threads_for", lambda device: None)  # tests share the CPUs with others
    return folders["nnUNet_results"] / DATASET / "TinyTrainer_ep4_seed11__nnUNetPlans__tiny" / "fold_0"


def train(*words: str) -> None:
    run_training_entry(["997", "tiny", "0", "-tr", "TinyTrainer", "-device", "cpu", *WORDS, *words])


def outcome(fold: Path) -> tuple[dict, dict]:
    content = read_checkpoint(fold / "checkpoint_final.pth")
    return {key: content["logging"][key] for key in KEYS}, content["network_weights"]


def assert_same(found: tuple[dict, dict], expected: tuple[dict, dict]) -> None:
    assert found[0] == expected[0]
    assert all(torch.equal(found[1][name], tensor) for name, tensor in expected[1].items())


def undisturbed(fold: Path) -> tuple[dict, dict]:
    train()
    expected = outcome(fold)
    shutil.rmtree(fold.parent)
    return expected


def send_in(monkeypatch, epoch: int, step: int, number: int, hook: str = "train_step") -> None:
    """Let signal ``number`` arrive in that step of that epoch, once."""
    original, left = getattr(nnUNetTrainer, hook), [step]

    def stepping(self, batch):
        if self.current_epoch == epoch and left:
            left[0] -= 1
            if left[0] < 0:
                left.clear()
                os.kill(os.getpid(), number)
        return original(self, batch)

    monkeypatch.setattr(nnUNetTrainer, hook, stepping)


@pytest.mark.parametrize(
    ("number", "hook", "status"),
    [(signal.SIGTERM, "train_step", 143), (signal.SIGUSR1, "validation_step", 138)],
)
def test_a_training_that_was_told_to_leave_within_an_epoch(number, hook, status, fold, monkeypatch):
    expected = undisturbed(fold)
    with monkeypatch.context() as patch:
        send_in(patch, 2, 1, number, hook)
        with pytest.raises(SystemExit) as ended:
            train("--c")
    assert ended.value.code == status
    assert read_checkpoint(fold / "checkpoint_latest.pth")["current_epoch"] == 2
    train("--c")
    assert_same(outcome(fold), expected)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [("2", "2"), ("0", "2"), ("2", "0")])
def test_any_number_of_loader_workers_before_and_after(workers, fold, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", workers[0])
    expected = undisturbed(fold)
    with monkeypatch.context() as patch:
        send_in(patch, 2, 1, signal.SIGTERM)
        with pytest.raises(SystemExit):
            train("--c")
    monkeypatch.setenv("nnUNet_n_proc_DA", workers[1])
    train("--c")
    assert_same(outcome(fold), expected)


class Died(BaseException):
    """Ends a training without a chance to save, as SIGKILL does."""


def die_in(monkeypatch, epoch: int) -> None:
    original = nnUNetTrainer.train_step

    def step(self, batch):
        if self.current_epoch == epoch:
            raise Died
        return original(self, batch)

    monkeypatch.setattr(nnUNetTrainer, "train_step", step)


@pytest.mark.parametrize("latest", ["none", "damaged"])
def test_a_training_that_died_goes_on_from_the_best_checkpoint(latest, fold, monkeypatch):
    expected = undisturbed(fold)
    with monkeypatch.context() as patch:
        die_in(patch, 3)
        with pytest.raises(Died):
            train("--c")
    if latest == "damaged":
        (fold / "checkpoint_latest.pth").write_bytes(b"half a checkpoint")
    begun = read_checkpoint(fold / "checkpoint_best.pth")["current_epoch"]
    assert 0 < begun < 4
    train("--c")
    assert_same(outcome(fold), expected)
    log = "".join(path.read_text() for path in fold.glob("training_log_*.txt"))
    assert log.count("WARNING") == (latest == "damaged")
    if latest == "damaged":
        assert f"Continuing with epoch {begun} from {fold / 'checkpoint_best.pth'}" in log


@pytest.mark.slow
def test_time_that_is_up_after_each_epoch_changes_nothing(fold):
    expected = undisturbed(fold)
    for epoch in (1, 2, 3):
        with pytest.raises(SystemExit) as ended:
            train("--c", "--max-hours", "1e-9")
        assert ended.value.code == 75
        assert read_checkpoint(fold / "checkpoint_latest.pth")["current_epoch"] == epoch
    train("--c")
    assert_same(outcome(fold), expected)


@pytest.mark.slow
def test_dropout_and_augmentation_in_the_training_process_go_on_exactly(fold, preprocessed, monkeypatch):
    """Both draw from the generators of the process that trains, whose states are in the checkpoint."""
    import json

    path = preprocessed / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    arguments = plans["configurations"]["tiny"]["architecture"]["arch_kwargs"]
    arguments |= {"dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": {"p": 0.3}}
    path.write_text(json.dumps(plans))
    monkeypatch.setenv("nnUNet_n_proc_DA", "2")
    train("--augment-on-device")
    expected = outcome(fold)
    shutil.rmtree(fold.parent)
    with monkeypatch.context() as patch:
        send_in(patch, 2, 1, signal.SIGTERM)
        with pytest.raises(SystemExit):
            train("--c", "--augment-on-device")
    train("--c", "--augment-on-device")
    assert_same(outcome(fold), expected)


def test_rotation_keeps_earlier_states_and_leaves_only_the_final_one(fold, monkeypatch):
    monkeypatch.setattr(nnUNetTrainer, "save_every", 1)
    with monkeypatch.context() as patch:
        die_in(patch, 3)
        with pytest.raises(Died):
            train("--keep-checkpoints", "2")
    epochs = {path.name: read_checkpoint(path)["current_epoch"] for path in fold.glob("checkpoint_latest*")}
    assert epochs == {"checkpoint_latest.pth": 3, "checkpoint_latest_1.pth": 2}
    (fold / "checkpoint_latest.pth").write_bytes(b"")
    train("--c", "--keep-checkpoints", "2")
    assert sorted(path.name for path in fold.glob("*.pth")) == ["checkpoint_best.pth", "checkpoint_final.pth"]


def test_a_seeded_checkpoint_has_two_more_entries_in_plain_values(fold):
    train()
    content = torch.load(fold / "checkpoint_final.pth", weights_only=True)
    assert content["loader_position"] == {"training": 8, "validation": 8}
    assert sorted(content["random_states"]) == ["numpy", "python", "torch"]


def test_the_command_does_not_train_anew_over_the_traces_of_a_training(fold, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        die_in(patch, 2)
        with pytest.raises(Died):
            train("--c")
    for path in fold.glob("*.pth"):
        path.write_bytes(path.read_bytes()[:1000])
    before = sorted((path.name, path.read_bytes()) for path in fold.glob("*.pth"))
    with pytest.raises(SystemExit) as ended:
        train("--c")
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert "holds traces of a training, but no checkpoint that can be read" in error
    assert "a training until epoch 2" in error
    assert sorted((path.name, path.read_bytes()) for path in fold.glob("*.pth")) == before
    train()
    assert read_checkpoint(fold / "checkpoint_final.pth")["current_epoch"] == 4
