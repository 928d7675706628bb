"""The low resolution stage of a cascade: how coarse images must be for one patch to see enough of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Spacing grows by this factor per attempt. Attempts multiply one after another, so a power would give other digits.
COARSENING_STEP = 1.03
# While an axis is this much finer than the coarsest one, only such axes are coarsened.
NEARLY_ISOTROPIC = 2
# A low resolution that does not reduce the voxels by this factor is not worth a training.
MIN_VOXEL_REDUCTION = 2

PlanFunction = Callable[[np.ndarray, tuple[int, ...], float], dict[str, Any]]


def coarsened(spacing: np.ndarray) -> np.ndarray:
    """``spacing`` (mm) one step coarser: along its fine axes while there are some, else along all."""
    fine = max(spacing) / spacing > NEARLY_ISOTROPIC
    return np.where(fine if fine.any() else True, spacing * COARSENING_STEP, spacing)


def search_lowres(
    fullres_spacing: np.ndarray,
    fullres_shape: np.ndarray,
    fullres_patch_size: Sequence[int],
    num_training: int,
    threshold: float,
    plan: PlanFunction,
) -> dict[str, Any] | None:
    """Configuration of the low resolution stage, or None when the data set needs none.

    Coarsens ``fullres_spacing`` (mm) until a patch covers ``threshold`` of the median image. ``fullres_shape`` is the
    median shape in voxels (float). ``plan(spacing, shape, voxels in the data set)`` gives the configuration of an
    attempt; its ``patch_size`` is read.
    """
    full_voxels = voxels = np.prod(fullres_shape, dtype=np.float64)
    patch_voxels = np.prod(fullres_patch_size, dtype=np.float64)
    spacing, configuration = np.array(fullres_spacing, dtype=np.float64), None
    while patch_voxels / voxels < threshold:
        spacing = coarsened(spacing)
        shape = fullres_spacing / spacing * fullres_shape
        voxels = np.prod(shape, dtype=np.float64)
        configuration = plan(spacing, tuple(round(n) for n in shape), float(voxels * num_training))
        patch_voxels = np.prod(configuration["patch_size"], dtype=np.float64)
    if full_voxels / voxels < MIN_VOXEL_REDUCTION:
        return None
    return configuration
