"""Overlap of two label maps, on arrays: masks, counts, and the metrics made of them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError

METRICS = ("Dice", "IoU", "FP", "TP", "FN", "TN", "n_pred", "n_ref")

LabelOrRegion = int | tuple[int, ...]
Counts = tuple[int, int, int, int]

_BLOCK = 2**22  # voxels looked at together


def plain_label_or_region(label_or_region: Any) -> LabelOrRegion:
    """The same label as ``int``, or region as tuple of ``int``: free of numpy scalars, hashable, comparable."""
    if np.ndim(label_or_region) == 0:
        return int(label_or_region)
    return tuple(int(label) for label in label_or_region)


def region_or_label_to_mask(segmentation: np.ndarray, region_or_label: int | Sequence[int]) -> np.ndarray:
    """Boolean array: where ``segmentation`` has this label, or any label of this region."""
    if np.ndim(region_or_label) == 0:
        return segmentation == region_or_label
    return np.isin(segmentation, np.asarray(region_or_label))


def compute_tp_fp_fn_tn(
    mask_ref: np.ndarray, mask_pred: np.ndarray, ignore_mask: np.ndarray | None = None
) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives: voxel counts of two boolean arrays.

    Voxels where ``ignore_mask`` is True count nowhere.
    """
    if ignore_mask is not None:
        mask_ref, mask_pred = mask_ref[~ignore_mask], mask_pred[~ignore_mask]
    n_ref, n_pred = int(np.count_nonzero(mask_ref)), int(np.count_nonzero(mask_pred))
    tp = int(np.count_nonzero(mask_ref & mask_pred))
    return tp, n_pred - tp, n_ref - tp, int(mask_ref.size) - n_ref - n_pred + tp


def overlap_metrics(tp: int, fp: int, fn: int, tn: int) -> dict[str, float]:
    """Dice = 2 TP / (2 TP + FP + FN), IoU = TP / (TP + FP + FN) and the counts; NaN where neither map has a voxel."""
    union = tp + fp + fn
    return {
        "Dice": 2 * tp / (2 * tp + fp + fn) if union else float("nan"),
        "IoU": tp / union if union else float("nan"),
        "FP": fp,
        "TP": tp,
        "FN": fn,
        "TN": tn,
        "n_pred": tp + fp,
        "n_ref": tp + fn,
    }


def whole_numbers(segmentation: np.ndarray) -> np.ndarray:
    """``segmentation`` as int32; raises ImageError, naming the value, when it holds anything but whole numbers."""
    if segmentation.dtype.kind in "bui":
        return segmentation.astype(np.int32, copy=False)
    finite = np.isfinite(segmentation)
    as_integers = np.where(finite, segmentation, 0).astype(np.int32)
    wrong = ~finite | (as_integers != segmentation)
    if wrong.any():
        raise ImageError(f"a segmentation holds the value {segmentation[wrong][0]}; labels are whole numbers")
    return as_integers


def joint_counts(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often each pair of labels meets: ``(labels, counts)`` with ``counts[i, j]`` voxels where the reference has
    ``labels[i]`` and the prediction ``labels[j]``.

    Both arrays have the same shape and hold whole numbers (ImageError otherwise). One pass, whatever the number of
    labels, in blocks, so that temporary arrays stay small.
    """
    flat_reference, flat_prediction = reference.ravel(), prediction.ravel()
    blocks = [slice(start, start + _BLOCK) for start in range(0, flat_reference.size, _BLOCK)]
    parts = [
        _joint_counts_of_block(whole_numbers(flat_reference[block]), whole_numbers(flat_prediction[block]))
        for block in blocks
    ]
    labels = np.unique(np.concatenate([part_labels for part_labels, _ in parts] or [np.empty(0, np.int64)]))
    joint = np.zeros((labels.size, labels.size), dtype=np.int64)
    for part_labels, part in parts:
        where = np.searchsorted(labels, part_labels)
        joint[np.ix_(where, where)] += part
    return labels, joint


def _joint_counts_of_block(reference: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lowest = int(min(reference.min(), prediction.min()))
    reference, prediction = reference - lowest, prediction - lowest
    # Labels are renumbered 0, 1, 2, ... first, so that a lone label 60000 does not ask for a table of 60000 x 60000.
    present = np.zeros(int(max(reference.max(), prediction.max())) + 1, dtype=bool)
    present[reference] = True
    present[prediction] = True
    labels = np.flatnonzero(present)
    rank = np.zeros(present.size, dtype=np.int64)
    rank[labels] = np.arange(labels.size)
    pairs = rank[reference] * labels.size + rank[prediction]
    counts = np.bincount(pairs, minlength=labels.size**2).reshape(labels.size, labels.size)
    return labels + lowest, counts


def counts_from_joint(labels: np.ndarray, joint: np.ndarray, label_or_region: int | Sequence[int]) -> Counts:
    """TP, FP, FN, TN of one label or region from the result of ``joint_counts``."""
    inside = region_or_label_to_mask(labels, label_or_region)
    tp = int(joint[np.ix_(inside, inside)].sum())
    n_ref, n_pred = int(joint[inside].sum()), int(joint[:, inside].sum())
    return tp, n_pred - tp, n_ref - tp, int(joint.sum()) - n_ref - n_pred + tp


def label_metrics(
    reference: np.ndarray,
    prediction: np.ndarray,
    labels_or_regions: Sequence[int | Sequence[int]],
    ignore_label: int | None = None,
) -> dict[LabelOrRegion, dict[str, float]]:
    """The eight ``METRICS`` of each label or region of two label maps of equal shape.

    Voxels where the reference is ``ignore_label`` count nowhere. Raises ImageError when the shapes differ or a value
    is not a whole number.
    """
    if reference.shape != prediction.shape:
        raise ImageError(f"the reference has shape {reference.shape}, the prediction {prediction.shape}")
    labels, joint = joint_counts(reference, prediction)
    if ignore_label is not None:
        joint[labels == int(ignore_label)] = 0
    wanted = [plain_label_or_region(item) for item in labels_or_regions]
    return {item: overlap_metrics(*counts_from_joint(labels, joint, item)) for item in wanted}


def mean_over_cases(
    cases: Sequence[Mapping[Hashable, Mapping[str, float]]],
) -> dict[Hashable, dict[str, float]]:
    """Mean of every metric of every label over the cases where it is defined; NaN where it is defined in none."""
    return {
        label: {metric: _mean_of_defined([case[label][metric] for case in cases]) for metric in cases[0][label]}
        for label in cases[0]
    }


def _mean_of_defined(values: Sequence[float]) -> float:
    return float("nan") if np.isnan(values).all() else float(np.nanmean(values))


def mean_over_foreground(mean: Mapping[Hashable, Mapping[str, float]]) -> dict[str, float]:
    """Plain mean of every metric over all labels but 0. One undefined label makes Dice and IoU NaN, as in nnU-Net v2.

    Without a foreground label every metric is NaN.
    """
    foreground = [metrics for label, metrics in mean.items() if label != 0]
    if not foreground:
        return {metric: float("nan") for metric in METRICS}
    return {metric: float(np.mean([metrics[metric] for metrics in foreground])) for metric in foreground[0]}


def undefined_labels(mean: Mapping[Hashable, Mapping[str, float]]) -> list[Hashable]:
    """Foreground labels whose Dice is NaN in ``mean``: in no case does the reference or the prediction have them."""
    return [label for label, metrics in mean.items() if label != 0 and np.isnan(metrics["Dice"])]
