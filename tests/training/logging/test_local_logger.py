"""Values per epoch: appending, replacing, the moving average, checkpoints."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nnunetv2.training.logging.local_logger import KEYS, LocalLogger, next_ema


def test_average_follows_its_rule():
    logger = LocalLogger()
    for epoch, value in enumerate((0.5, 0.7, 0.1)):
        logger.log("mean_fg_dice", value, epoch)
    assert logger.get_value("ema_fg_dice") == pytest.approx([0.5, 0.52, 0.478])
    assert logger.get_value("mean_fg_dice", 1) == 0.7


def test_undefined_dice_does_not_poison_the_average():
    logger = LocalLogger()
    for epoch, value in enumerate((math.nan, 0.5, math.nan, 0.7)):
        logger.log("mean_fg_dice", value, epoch)
    assert math.isnan(logger.get_value("ema_fg_dice", 0))
    assert logger.get_value("ema_fg_dice")[1:] == pytest.approx([0.5, 0.5, 0.52])


def test_average_of_a_first_value_is_the_value():
    assert next_ema(None, 0.3) == 0.3
    assert next_ema(0.5, 0.7) == pytest.approx(0.52)


def test_logging_the_last_epoch_again_replaces_it_with_its_average():
    logger = LocalLogger()
    for epoch, value in enumerate((0.5, 0.7)):
        logger.log("mean_fg_dice", value, epoch)
    logger.log("mean_fg_dice", 0.2, 1)
    assert logger.get_value("mean_fg_dice") == [0.5, 0.2]
    assert logger.get_value("ema_fg_dice") == pytest.approx([0.5, 0.47])


def test_replacing_the_only_epoch_restarts_the_average():
    logger = LocalLogger()
    logger.log("mean_fg_dice", 0.5, 0)
    logger.log("mean_fg_dice", 0.9, 0)
    assert logger.get_value("ema_fg_dice") == [0.9]


def test_epochs_further_back_cannot_be_replaced():
    logger = LocalLogger()
    for epoch in range(3):
        logger.log("lrs", 0.1, epoch)
    with pytest.raises(AssertionError, match="lrs of epoch 1.*3 epochs"):
        logger.log("lrs", 0.2, 1)


def test_unknown_key_is_refused_and_can_be_added():
    logger = LocalLogger()
    with pytest.raises(AssertionError, match="my_loss"):
        logger.log("my_loss", 1.0, 0)
    logger.my_fantastic_logging["my_loss"] = []
    logger.log("my_loss", 1.0, 0)
    assert logger.get_value("my_loss") == [1.0]


def test_epoch_has_two_names_and_is_needed_once():
    logger = LocalLogger()
    logger.log("lrs", 0.1, 0)
    logger.log("lrs", 0.2, step=1)
    logger.log("lrs", 0.3, epoch=2)
    assert logger.get_value("lrs") == [0.1, 0.2, 0.3]
    for wrong in ({}, {"step": 3, "epoch": 3}):
        with pytest.raises(ValueError, match="once"):
            logger.log("lrs", 0.4, **wrong)


def test_numpy_values_and_tensors_become_plain_ones():
    logger = LocalLogger()
    logger.log("train_losses", np.float32(0.5), 0)
    logger.log("val_losses", torch.tensor(0.25), 0)
    logger.log("mean_fg_dice", np.float64(0.5), 0)
    logger.log("dice_per_class_or_region", [np.float32(0.5), np.float64(1)], 0)
    assert [logger.get_value(k)[0] for k in ("train_losses", "val_losses", "ema_fg_dice")] == [0.5, 0.25, 0.5]
    values = [logger.get_value(key, 0) for key in ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice")]
    assert {type(v) for v in values + logger.get_value("dice_per_class_or_region", 0)} == {float}


def test_checkpoint_brings_all_values_back_and_keeps_keys_it_lacks():
    first = LocalLogger()
    assert set(first.get_checkpoint()) == set(KEYS)
    first.log("mean_fg_dice", 0.5, 0)
    second = LocalLogger()
    second.my_fantastic_logging["my_loss"] = []
    second.load_checkpoint({**first.get_checkpoint(), "train_losses": [np.float32(0.25)]})
    second.log("mean_fg_dice", 0.7, 1)
    assert second.get_value("ema_fg_dice") == pytest.approx([0.5, 0.52])
    assert type(second.get_value("train_losses", 0)) is float
    assert second.get_value("my_loss") == []
    assert first.get_value("mean_fg_dice") == [0.5]
