"""What the steps of an epoch add up to."""

from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.training.epoch_summary import epoch_report, is_new_best, mean_loss, pooled_dice
from nnunetv2.training.logging.nnunet_logger import MetaLogger

NAN = float("nan")


@pytest.mark.parametrize(
    ("ema", "best", "expected"),
    [(0.5, None, True), (0.5, 0.4, True), (0.5, 0.5, False), (0.3, 0.4, False), (NAN, None, False), (0.1, NAN, True)],
)
def test_the_best_is_a_number_above_the_best_so_far(ema, best, expected):
    assert is_new_best(ema, best) is expected


def test_dice_is_pooled_over_steps_before_dividing():
    outputs = {
        "tp_hard": np.array([[1, 0], [3, 0]]),
        "fp_hard": np.array([[2, 0], [0, 0]]),
        "fn_hard": np.array([[0, 0], [2, 0]]),
    }
    dice = pooled_dice(outputs)
    assert dice[0] == pytest.approx(2 * 4 / (2 * 4 + 2 + 2))
    assert np.isnan(dice[1])


def test_the_mean_loss_takes_arrays_and_numbers():
    assert mean_loss({"loss": np.array([1.0, 2.0])}) == mean_loss({"loss": [1.0, 2.0]}) == 1.5


def test_the_report_holds_plain_rounded_numbers(tmp_path):
    logger = MetaLogger(tmp_path, False)
    for key, value in (
        ("train_losses", np.float32(-0.34341)),
        ("val_losses", -0.39324),
        ("dice_per_class_or_region", [np.float32(0.54151), 0.61]),
        ("epoch_start_timestamps", 100.0),
        ("epoch_end_timestamps", 148.6129),
    ):
        logger.log(key, value, 0)
    assert epoch_report(logger, 0) == [
        ("train_loss", -0.3434),
        ("val_loss", -0.3932),
        ("Pseudo dice", [0.5415, 0.61]),
        ("Epoch time: 48.61 s",),
    ]
    assert str(epoch_report(logger, 0)[2][1]) == "[0.5415, 0.61]"
