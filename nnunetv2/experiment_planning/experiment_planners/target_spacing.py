"""Which voxel spacing a data set is resampled to, in which axis order, and how large its images then are.

All spacings are in mm and all arrays float64; one row per case, columns in the axis order of the reader.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnunetv2.preprocessing.resampling.new_shape import compute_new_shape

# Of a low-resolution axis, the spacing that this percentage of cases stays below becomes the target.
LOW_RESOLUTION_PERCENTILE = 10
# Keeps the low-resolution axis the coarsest when its target would fall below the other axes.
COARSEST_MARGIN = 1e-5


def fullres_target_spacing(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]], anisotropy_threshold: float
) -> np.ndarray:
    """Target spacing of the full resolution: the median per axis, with an exception for anisotropic data sets.

    When the coarsest axis is more than ``anisotropy_threshold`` times as coarse as the next one and has as many times
    fewer voxels, its median would throw away resolution that many cases have; a lower percentile is taken.
    """
    table = np.vstack(spacings)
    # NOTE a percentile, not np.median: the two may differ in the last bit, which would show in every plans file.
    target = np.percentile(table, 50, 0)
    size = np.percentile(np.vstack(shapes), 50, 0)
    coarsest = int(np.argmax(target))
    others = [axis for axis in range(len(target)) if axis != coarsest]
    coarsest_of_others = max(target[others])
    spacing_differs = target[coarsest] > anisotropy_threshold * coarsest_of_others
    size_differs = size[coarsest] * anisotropy_threshold < min(size[others])
    if spacing_differs and size_differs:
        low = np.percentile(table[:, coarsest], LOW_RESOLUTION_PERCENTILE)
        target[coarsest] = low if low >= coarsest_of_others else coarsest_of_others + COARSEST_MARGIN
    return target


def transposition(target_spacing: Sequence[float], suppress: bool = False) -> tuple[list[int], list[int]]:
    """Axis order that puts the coarsest axis first, and its inverse; the identity with ``suppress``."""
    axes = list(range(len(target_spacing)))
    if suppress:
        return axes, list(axes)
    coarsest = int(np.argmax(target_spacing))
    forward = [coarsest] + [axis for axis in axes if axis != coarsest]
    return forward, [forward.index(axis) for axis in axes]


def median_resampled_shape(
    spacings: Sequence[Sequence[float]], shapes: Sequence[Sequence[int]], target_spacing: Sequence[float]
) -> np.ndarray:
    """Median over the cases of the shape after resampling to ``target_spacing``; float64, may end in .5."""
    resampled = [compute_new_shape(shape, spacing, target_spacing) for shape, spacing in zip(shapes, spacings)]
    return np.median(resampled, axis=0)
