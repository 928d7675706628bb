"""Dice of validation patches from pooled counts: cheap enough for every epoch, not a per-case score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from nnunetv2.utilities.label_handling.label_handling import LabelManager

Counts = tuple[np.ndarray, np.ndarray, np.ndarray]


def hard_counts(output: torch.Tensor, target: torch.Tensor, label_manager: LabelManager) -> Counts:
    """True positives, false positives and false negatives of a batch, int64, one per foreground class or region.

    ``output`` are logits (B, K, *spatial) at the finest resolution. ``target`` is a label map (B, 1, *spatial) or, for
    regions, (B, R, *spatial) with the ignore flag as an additional last channel if there is an ignore label. Voxels
    with the ignore label do not count.
    """
    if label_manager.has_regions:
        return _region_counts(output, target, label_manager.has_ignore_label)
    return _class_counts(output, target, label_manager.ignore_label if label_manager.has_ignore_label else None)


def _class_counts(output: torch.Tensor, target: torch.Tensor, ignore_label: int | None) -> Counts:
    n_classes = output.shape[1]
    predicted, actual = output.argmax(1).flatten(), target.long().flatten()
    if ignore_label is not None:
        annotated = actual != ignore_label
        predicted, actual = predicted[annotated], actual[annotated]
    # The confusion matrix replaces one-hot copies of prediction and target, whose size grows with the classes.
    confusion = torch.bincount(actual * n_classes + predicted, minlength=n_classes**2)
    if confusion.numel() > n_classes**2:
        raise ValueError(f"the target holds label {int(actual.max())}, the network has {n_classes} output channels")
    matrix = confusion.view(n_classes, n_classes).cpu().numpy()
    tp = matrix.diagonal()
    return tp[1:].copy(), (matrix.sum(0) - tp)[1:], (matrix.sum(1) - tp)[1:]


def _region_counts(output: torch.Tensor, target: torch.Tensor, has_ignore_label: bool) -> Counts:
    predicted, actual = torch.sigmoid(output) > 0.5, target != 0
    if has_ignore_label:
        annotated = ~actual[:, -1:]
        actual = actual[:, :-1] & annotated
        predicted = predicted & annotated
    axes = (0, *range(2, output.ndim))
    tp, n_predicted, n_actual = (x.sum(axes).cpu().numpy() for x in (predicted & actual, predicted, actual))
    return tp, n_predicted - tp, n_actual - tp


def dice_from_counts(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> list[float]:
    """2tp / (2tp + fp + fn) per entry as plain floats; NaN where nothing was predicted and nothing was there."""
    tp, fp, fn = (np.asarray(count, dtype=np.float64) for count in (tp, fp, fn))
    size = 2 * tp + fp + fn
    return np.divide(2 * tp, size, out=np.full_like(size, np.nan), where=size > 0).tolist()


def mean_foreground_dice(dice: Sequence[float]) -> float:
    """Mean of the entries that are not NaN; NaN if there are none."""
    known = [value for value in dice if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
