"""Sampling voxel coordinates of each class, so that training can centre patches on foreground without searching."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import find_objects

ClassKey = int | tuple[int, ...]

MIN_SAMPLES = 10_000
"""So many coordinates are kept of a class, or all it has."""
MIN_SHARE = 0.01
"""And at least this share of a class, so that large ones are covered evenly."""


def sample_foreground_locations(
    seg: np.ndarray, classes_or_regions: Sequence[int | Sequence[int]], seed: int = 1234
) -> dict[ClassKey, np.ndarray | list]:
    """Random coordinates of every class or region.

    Parameters
    ----------
    seg : (1, Z, Y, X) labels.
    classes_or_regions : labels, or several labels for a region.
    seed : of the one random stream for all classes; they are drawn in the given order, absent ones draw nothing.

    Returns
    -------
    ``{label or tuple of labels: (k, 4) int64 indices into seg}``; an empty list where there are no voxels.
    """
    random = np.random.RandomState(seed)
    finder = _LabelFinder(seg)
    locations: dict[ClassKey, np.ndarray | list] = {}
    for entry in classes_or_regions:
        is_region = isinstance(entry, (tuple, list))
        labels = [int(label) for label in entry] if is_region else [int(entry)]
        found = [finder.flat_indices(label) for label in labels]
        total = sum(len(indices) for indices in found)
        if total:
            keep = max(min(MIN_SAMPLES, total), math.ceil(MIN_SHARE * total))
            chosen = np.concatenate(found)[_choice(random, total, keep)]
            sampled = np.stack(np.unravel_index(chosen, seg.shape), axis=1)
        locations[tuple(labels) if is_region else labels[0]] = sampled if total else []
    return locations


def _choice(random: np.random.RandomState, total: int, keep: int) -> np.ndarray:
    """``random.choice(total, keep, replace=False)`` in half the memory; it too shuffles all and takes the first."""
    numbers = np.arange(total, dtype=np.int32 if total <= np.iinfo(np.int32).max else np.int64)
    random.shuffle(numbers)
    return numbers[:keep]


class _LabelFinder:
    """Where the voxels of a label are, looked up within the label's bounding box and remembered."""

    def __init__(self, seg: np.ndarray):
        self.seg = seg
        self._known: dict[int, np.ndarray] = {}
        whole = seg.astype(np.int32) if seg.dtype.kind == "f" else seg
        self._boxes = find_objects(whole) if whole.size else []

    def flat_indices(self, label: int) -> np.ndarray:
        """Indices into the flattened segmentation, ascending, int64."""
        if label not in self._known:
            self._known[label] = self._find(label)
        return self._known[label]

    def _find(self, label: int) -> np.ndarray:
        if label <= 0:
            return np.flatnonzero(self.seg == label)
        box = self._boxes[label - 1] if label <= len(self._boxes) else None
        if box is None:
            return np.empty(0, dtype=np.int64)
        inside = np.nonzero(self.seg[box] == label)
        shifted = [indices + part.start for indices, part in zip(inside, box)]
        return np.ravel_multi_index(shifted, self.seg.shape)
