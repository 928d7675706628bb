"""MetaLogger: the local values, metrics.csv and further loggers; the legacy class."""

from __future__ import annotations

import csv
import logging

import numpy as np
import pytest

from nnunetv2.training.logging import nnunet_logger
from nnunetv2.training.logging.nnunet_logger import LocalLogger, MetaLogger, WandbLogger, nnUNetLogger


class Recorder:
    """A further logger that remembers what it was given."""

    def __init__(self):
        self.values, self.summary, self.config = {}, {}, {}

    def log(self, key, value, step):
        self.values[key, step] = value

    def log_summary(self, key, value):
        self.summary[key] = value

    def update_config(self, config):
        self.config.update(config)


def log_epoch(logger, epoch: int) -> None:
    logger.log("lrs", 0.01, epoch)
    logger.log("train_losses", np.float32(0.5), epoch)
    logger.log("mean_fg_dice", 0.5 + epoch, epoch)
    logger.log("dice_per_class_or_region", [0.25, 0.75], epoch)
    logger.log("epoch_end_timestamps", 10.0 * epoch, epoch)


def test_local_values_are_readable_by_both_names(tmp_path):
    logger = MetaLogger(tmp_path, False)
    log_epoch(logger, 0)
    assert logger.get_value("lrs", 0) == logger.my_fantastic_logging["lrs"][0] == 0.01
    assert logger.get_value("lrs") == logger.local_logger.get_value("lrs") == [0.01]
    logger.my_fantastic_logging["mine"] = []
    logger.log("mine", 3, epoch=0)
    assert logger.get_value("mine", 0) == 3


def test_further_loggers_get_single_values_and_the_average(tmp_path):
    logger = MetaLogger(tmp_path, False)
    recorder = Recorder()
    logger.loggers.append(recorder)
    for epoch in range(2):
        log_epoch(logger, epoch)
    logger.log_summary("final_val/foreground_dice", np.float64(0.5))
    logger.update_config({"fold": 0})
    assert recorder.values["dice_per_class_or_region/class_2", 0] == 0.75
    assert recorder.values["ema_fg_dice", 1] == pytest.approx(0.9 * 0.5 + 0.1 * 1.5)
    assert recorder.values["lrs", 1] == 0.01
    assert ("dice_per_class_or_region", 0) not in recorder.values
    assert recorder.summary == {"final_val/foreground_dice": 0.5}
    assert recorder.config == {"fold": 0}


def test_no_further_logger_unless_switched_on(tmp_path):
    assert MetaLogger(tmp_path, False).loggers == []


def test_table_of_all_epochs_is_written_at_the_end_of_each(tmp_path):
    logger = MetaLogger(tmp_path, False)
    for epoch in range(2):
        log_epoch(logger, epoch)
    resumed = MetaLogger(tmp_path, True)
    resumed.load_checkpoint(logger.get_checkpoint())
    log_epoch(resumed, 2)
    with open(tmp_path / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["mean_fg_dice"] for row in rows] == ["0.5", "1.5", "2.5"]


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(nnunet_logger, "rank", lambda: 1)
    monkeypatch.setenv("nnUNet_wandb_enabled", "1")
    logger = MetaLogger(tmp_path, False)
    log_epoch(logger, 0)
    assert logger.loggers == []
    assert list(tmp_path.iterdir()) == []


def test_full_disk_gives_a_warning_only(tmp_path, monkeypatch, caplog):
    def no_space(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(nnunet_logger, "write_metrics_csv", no_space)
    logger = MetaLogger(tmp_path, False)
    log_epoch(logger, 0)
    assert "metrics.csv was not written: No space left" in caplog.text
    assert logger.get_value("epoch_end_timestamps") == [0.0]


def test_works_without_a_folder():
    logger = MetaLogger(None, False)
    log_epoch(logger, 0)
    assert logger.get_value("lrs") == [0.01]


def test_verbose_shows_each_value(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="nnunetv2"):
        MetaLogger(tmp_path, False).log("lrs", 0.01, 0)
        assert "lrs" not in caplog.text
        MetaLogger(tmp_path, False, verbose=True).log("lrs", 0.01, 0)
    assert "epoch 0: lrs = 0.01" in caplog.text


def test_progress_is_drawn(tmp_path):
    logger = MetaLogger(tmp_path, False)
    log_epoch(logger, 0)
    logger.plot_progress_png(tmp_path)
    logger.wait_for_plots()
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")


def test_legacy_logger_stands_in_for_the_current_one():
    logger = nnUNetLogger()
    log_epoch(logger, 0)
    logger.log_summary("a", 1)
    logger.update_config({"a": 1})
    assert logger.local_logger is logger
    assert logger.loggers == []
    assert logger.my_fantastic_logging["mean_fg_dice"] == logger.get_value("mean_fg_dice") == [0.5]
    assert isinstance(logger, LocalLogger)
    assert WandbLogger.__module__ == "nnunetv2.training.logging.wandb_logger"
