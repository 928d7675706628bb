"""The Weights & Biases logger, against a stand-in for the package."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from nnunetv2.errors import UsageError
from nnunetv2.training.logging.nnunet_logger import MetaLogger
from nnunetv2.training.logging.wandb_logger import WandbLogger, id_of_latest_run, wandb_is_enabled


class FakeRun:
    def __init__(self, step):
        self.step, self.logged, self.summary, self.settings = step, [], {}, {}
        self.config = SimpleNamespace(update=lambda values, allow_val_change: self.settings.update(values))

    def log(self, values, step):
        self.logged.append((values, step))


@pytest.fixture
def wandb(monkeypatch):
    """A module that records how runs are opened; ``initial_step`` is that of the next run."""
    for name in ("SLURM_JOB_ID", "LSB_JOBID"):
        monkeypatch.delenv(name, raising=False)
    fake = SimpleNamespace(opened=[], initial_step=0)

    def init(**settings):
        fake.opened.append(settings)
        return FakeRun(fake.initial_step)

    fake.init = init
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def make_latest_run(folder, run_id):
    run = folder / "wandb" / "latest-run"
    run.mkdir(parents=True)
    (run / f"run-{run_id}.wandb").touch()


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("True", True), ("true", True), ("TRUE", True)])
def test_switch_is_on(monkeypatch, value, expected):
    monkeypatch.setenv("nnUNet_wandb_enabled", value)
    assert wandb_is_enabled() is expected


@pytest.mark.parametrize("value", [None, "", "0", "False", "false"])
def test_switch_is_off(monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("nnUNet_wandb_enabled", value)
    assert wandb_is_enabled() is False


def test_other_values_of_the_switch_are_refused(monkeypatch):
    monkeypatch.setenv("nnUNet_wandb_enabled", "maybe")
    with pytest.raises(UsageError, match="nnUNet_wandb_enabled is 'maybe'"):
        wandb_is_enabled()


def test_environment_adds_the_logger_and_its_settings(tmp_path, monkeypatch, wandb):
    for name, value in (("enabled", "1"), ("project", "hearts"), ("mode", "offline")):
        monkeypatch.setenv(f"nnUNet_wandb_{name}", value)
    monkeypatch.setenv("LSB_JOBID", "17")
    logger = MetaLogger(tmp_path, False)
    logger.log("dice_per_class_or_region", [0.5, 0.75], 0)
    (added,) = logger.loggers
    (settings,) = wandb.opened
    assert (settings["project"], settings["mode"], settings["dir"]) == ("hearts", "offline", str(tmp_path))
    assert added.run.settings == {"JobID": "17"}
    assert [entry for entry, _ in added.run.logged] == [
        {"dice_per_class_or_region/class_1": 0.5},
        {"dice_per_class_or_region/class_2": 0.75},
    ]


def test_fresh_start_deletes_the_files_of_an_earlier_run(tmp_path, wandb):
    make_latest_run(tmp_path, "abc123")
    WandbLogger(tmp_path, resume=False)
    assert not (tmp_path / "wandb").exists()
    assert (wandb.opened[0]["id"], wandb.opened[0]["project"], wandb.opened[0]["mode"]) == (None, "nnunet", "online")


def test_resume_continues_the_run_and_skips_epochs_it_has(tmp_path, wandb):
    make_latest_run(tmp_path, "abc123")
    wandb.initial_step = 5
    logger = WandbLogger(tmp_path, resume=True)
    assert (wandb.opened[0]["id"], wandb.opened[0]["resume"]) == ("abc123", "allow")
    for epoch in (3, 4, 5):
        logger.log("lrs", 0.1, epoch)
    logger.log_summary("current_epoch", 5)
    assert logger.run.logged == [({"lrs": 0.1}, 5)]
    assert logger.run.summary == {"current_epoch": 5}


def test_resume_without_an_earlier_run_starts_one(tmp_path, wandb):
    assert id_of_latest_run(tmp_path) is None
    WandbLogger(tmp_path, resume=True)
    assert wandb.opened[0]["id"] is None


def test_missing_package_is_explained(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UsageError, match="not installed"):
        WandbLogger(tmp_path, resume=False)
