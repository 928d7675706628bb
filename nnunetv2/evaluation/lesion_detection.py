"""Lesion-wise detection: which connected components of a reference the prediction finds, and which it invents.

The rule: components are connected through faces, edges and corners. A predicted and a reference component match when
their intersection over union is at least the threshold. Matching is one to one, with the largest possible sum of
intersections over union (a linear assignment), so one large prediction cannot find several lesions. A matched pair is a
true positive, a reference component without partner a false negative, a predicted one a false positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from scipy.optimize import linear_sum_assignment

from nnunetv2.errors import ImageError

DEFAULT_OVERLAP = 0.1
"""Smallest intersection over union of a match. Small lesions rarely reach the 0.5 that is usual for large objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Detections:
    """Counts of components; sums over cases give the counts of a data set."""

    true_positives: int
    false_positives: int
    false_negatives: int

    def precision(self) -> float:
        """Share of the predicted components that match; NaN without any."""
        return _share(self.true_positives, self.true_positives + self.false_positives)

    def recall(self) -> float:
        """Share of the reference components that match; NaN without any."""
        return _share(self.true_positives, self.true_positives + self.false_negatives)

    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN); NaN when there is no component at all."""
        return _share(2 * self.true_positives, 2 * self.true_positives + self.false_positives + self.false_negatives)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def detect_lesions(reference: np.ndarray, prediction: np.ndarray, overlap: float = DEFAULT_OVERLAP) -> Detections:
    """Detections of two boolean masks (Z, Y, X) of equal shape; ``overlap`` in (0, 1]. Raises ImageError otherwise."""
    if reference.shape != prediction.shape:
        raise ImageError(f"the reference has shape {reference.shape}, the prediction {prediction.shape}")
    ratios = component_overlaps(reference, prediction)
    allowed = np.where(ratios >= overlap, ratios, 0.0)
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    matched = int(np.count_nonzero(allowed[rows, columns]))
    return Detections(
        true_positives=matched,
        false_positives=ratios.shape[1] - matched,
        false_negatives=ratios.shape[0] - matched,
    )


def component_overlaps(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Intersection over union of every reference component (row) with every predicted one (column)."""
    (first, rows), (second, columns) = components(reference), components(prediction)
    both = (first > 0) & (second > 0)
    pairs, counts = np.unique(np.stack([first[both], second[both]]), axis=1, return_counts=True)
    shared = np.zeros((rows, columns))
    shared[pairs[0] - 1, pairs[1] - 1] = counts
    union = _sizes(first, rows)[:, None] + _sizes(second, columns)[None, :] - shared
    return shared / np.maximum(union, 1)


def _sizes(labels: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(labels.ravel(), minlength=count + 1)[1:]


def components(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers of the 26-connected components of a mask (Z, Y, X), from 1 (int64, 0 outside), and their count."""
    labels, count = cc3d.connected_components(
        np.ascontiguousarray(mask, dtype=np.uint8), connectivity=26, return_N=True
    )
    return labels.astype(np.int64), int(count)
