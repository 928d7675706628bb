"""What the steps of an epoch add up to, over all processes, and how the log reports it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnunetv2.training.distributed import gather_objects
from nnunetv2.training.online_metrics import dice_from_counts


def mean_loss(outputs: Mapping[str, Any]) -> float:
    """Mean of ``outputs["loss"]`` (one entry per step) over the steps of all processes."""
    return float(np.mean(np.concatenate([np.ravel(losses) for losses in gather_objects(outputs["loss"])])))


def pooled_dice(outputs: Mapping[str, Any]) -> list[float]:
    """Dice per foreground class or region from counts (steps, classes) pooled over the steps of all processes."""
    tp, fp, fn = (
        sum(gather_objects(np.sum(outputs[key], axis=0, dtype=np.float64))) for key in ("tp_hard", "fp_hard", "fn_hard")
    )
    return dice_from_counts(tp, fp, fn)


def epoch_report(logger: Any, epoch: int) -> list[tuple[Any, ...]]:
    """Arguments of the log entries for one epoch; numbers are plain floats, so that they print alike everywhere."""

    def value(key: str) -> Any:
        return logger.get_value(key, step=epoch)

    seconds = value("epoch_end_timestamps") - value("epoch_start_timestamps")
    return [
        ("train_loss", round(float(value("train_losses")), 4)),
        ("val_loss", round(float(value("val_losses")), 4)),
        ("Pseudo dice", [round(float(dice), 4) for dice in value("dice_per_class_or_region")]),
        (f"Epoch time: {round(float(seconds), 2)} s",),
    ]


def is_new_best(ema: float, best: float | None) -> bool:
    """Whether ``ema`` beats the best so far. NaN, an undefined Dice, never does, and any number beats NaN."""
    return not math.isnan(ema) and (best is None or math.isnan(best) or ema > best)
