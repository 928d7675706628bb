"""How often, where and with which kernels a U-Net of given input size and spacing is pooled."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

# Within this factor two spacings are treated alike: the axes are pooled together, and kernels reach along both.
SIMILAR_SPACING = 2


def get_shape_must_be_divisible_by(net_numpool_per_axis: Sequence[int]) -> np.ndarray:
    """Per axis the number a patch size must be a multiple of: 2 to the power of its pooling count."""
    return 2 ** np.array(net_numpool_per_axis)


def pad_shape(shape: Sequence[float], must_be_divisible_by: int | Sequence[int]) -> np.ndarray:
    """``shape`` rounded up, per axis, to the next multiple; an integer array.

    ``must_be_divisible_by`` is one number for all axes or one per axis. Sizes may be fractions (medians).
    """
    divisors = np.broadcast_to(np.asarray(must_be_divisible_by), (len(shape),))
    return np.array([int(ceil(size / divisor) * divisor) for size, divisor in zip(shape, divisors)], dtype=np.int64)


def get_pool_and_conv_props(
    spacing: Sequence[float], patch_size: Sequence[float], min_feature_map_size: int, max_numpool: int
) -> tuple[list[int], tuple, tuple, tuple, np.ndarray]:
    """Topology of a U-Net for a patch (isotropy is approached by pooling fine axes first).

    Parameters
    ----------
    spacing : mm per voxel, per axis.
    patch_size : input size in voxels, same axes; may hold fractions.
    min_feature_map_size : no axis is pooled below this size.
    max_numpool : limit on the pooling count of one axis.

    Returns
    -------
    pooling count per axis (list); strides and kernel sizes, one tuple per stage, the first stride all 1; the patch size
    rounded up to what the pooling needs (tuple of int64); the divisor per axis (int array).
    """
    sizes, spacings = [float(n) for n in patch_size], [float(s) for s in spacing]
    counts, kernel = [0] * len(sizes), [1] * len(sizes)
    strides, kernels = [(1,) * len(sizes)], []
    while pooled := _axes_to_pool(sizes, spacings, counts, min_feature_map_size, max_numpool):
        # An axis once fine enough for a kernel of 3 keeps it.
        finest = min(spacings)
        kernel = [3 if k == 3 or s / finest < SIMILAR_SPACING else 1 for k, s in zip(kernel, spacings)]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in pooled else 1 for axis in range(len(sizes))))
        for axis in pooled:
            counts[axis] += 1
            spacings[axis] *= 2
            sizes[axis] = ceil(sizes[axis] / 2)
    kernels.append((3,) * len(sizes))  # the bottleneck sees all axes
    divisor = get_shape_must_be_divisible_by(counts)
    return counts, tuple(strides), tuple(kernels), tuple(pad_shape(patch_size, divisor)), divisor


def _axes_to_pool(
    sizes: Sequence[float], spacings: Sequence[float], counts: Sequence[int], min_size: int, max_numpool: int
) -> set[int]:
    """Axes that the next pooling halves: large enough, and about as fine as the finest of those; empty at the end."""
    large = [axis for axis, size in enumerate(sizes) if size >= 2 * min_size]
    if not large:
        return set()
    finest = min(spacings[axis] for axis in large)
    chosen = {axis for axis in large if spacings[axis] / finest < SIMILAR_SPACING and counts[axis] < max_numpool}
    if len(chosen) == 1 and sizes[next(iter(chosen))] < 3 * min_size:
        return set()
    return chosen
