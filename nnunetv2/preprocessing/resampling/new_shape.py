"""The shape an image has after resampling. Without torch, since planning needs it too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def compute_new_shape(
    old_shape: Sequence[int], old_spacing: Sequence[float], new_spacing: Sequence[float]
) -> np.ndarray:
    """Shape (voxels per axis, int array) that keeps the extent of an image when its spacing (mm) changes.

    The expression is evaluated in this order in float64 and rounded half to even, as all existing plans were.
    Raises ValueError when the three do not have one value per axis.
    """
    if not len(old_shape) == len(old_spacing) == len(new_spacing):
        raise ValueError(
            f"shape {tuple(old_shape)}, spacing {tuple(old_spacing)} and new spacing {tuple(new_spacing)} "
            "must have one value per axis each"
        )
    return np.array(
        [round((old / new) * size) for old, new, size in zip(old_spacing, new_spacing, old_shape)], dtype=np.int64
    )
