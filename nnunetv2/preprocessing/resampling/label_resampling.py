"""Resizing label maps: every output voxel gets the label with the largest linearly interpolated indicator.

Definition: the score of a label at an output voxel is the linear interpolation of its 0/1 indicator. The largest score
wins; among exactly equal scores the label of the nearest input voxel wins if it is one of them, else the smallest.

Only voxels whose interpolation cell holds more than one label need scores; all others take the nearest label. Scores
add ``w0 * w1 * w2`` of the corners in lexicographic order, so that ties round as in one call of scipy.ndimage.zoom.
"""

from __future__ import annotations

import itertools

import numpy as np

from nnunetv2.geometry.interpolation import linear_taps, nearest_indices
from nnunetv2.preprocessing.resampling.image_resampling import interpolate_first_axis

# Output voxels handled at once; bounds the memory of index and mask arrays.
_VOXELS_PER_SLAB = 1 << 21
_VOTERS_AT_ONCE = 1 << 18
# Input voxels of planes that are resized together.
_VOXELS_PER_STACK = 1 << 20


def resize_labels(seg: np.ndarray, new_shape: tuple[int, ...], order: int = 1) -> np.ndarray:
    """Resize a label map (A, B, C) in 3D; result in the same dtype.

    ``order`` 0 takes the nearest voxel, 1 is the rule above; others go through batchgenerators.
    """
    if order == 0:
        return seg[np.ix_(*[nearest_indices(n, m) for n, m in zip(seg.shape, new_shape)])]
    if order != 1:
        return _resize_by_indicators(seg, new_shape, order)
    codes, values = _compact(seg)
    result = _resize_linear(codes, tuple(new_shape))
    return result.astype(seg.dtype) if values is None else values[result]


def resize_label_stack(seg: np.ndarray, new_shape: tuple[int, ...], order: int = 1, order_first: int = 0) -> np.ndarray:
    """Resize every plane of ``seg`` (A, B, C) on its own, then the first axis; result in the same dtype.

    Along the first axis, ``order_first`` 0 copies the nearest plane; otherwise a label is written, in ascending order,
    where its interpolated indicator rounds to 1, and 0 where none does.
    """
    if order_first == 0:
        used, back = np.unique(nearest_indices(seg.shape[0], new_shape[0]), return_inverse=True)
        planes = _resize_label_planes(seg, used, new_shape, order)
        return planes if len(planes) == new_shape[0] else planes[back]
    planes = _resize_label_planes(seg, np.arange(len(seg)), new_shape, order)
    if len(planes) == new_shape[0]:
        return planes
    return _interpolate_first_axis(planes, new_shape[0], order_first)


def _resize_label_planes(seg: np.ndarray, used: np.ndarray, new_shape: tuple[int, ...], order: int) -> np.ndarray:
    """The planes ``seg[used]``, resized; some at a time, which keeps them in the cache."""
    if seg.shape[1:] == tuple(new_shape[1:]):
        return seg[used]
    out = np.empty((len(used), *new_shape[1:]), dtype=seg.dtype)
    step = max(1, _VOXELS_PER_STACK // max(1, seg[0].size)) if order in (0, 1) else 1
    for start in range(0, len(used), step):
        part = seg[used[start : start + step]]
        if order in (0, 1):
            out[start : start + step] = resize_labels(part, (len(part), *new_shape[1:]), order)
        else:
            out[start] = _resize_by_indicators(part[0], new_shape[1:], order)
    return out


def _compact(seg: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """``seg`` as small integers in the same order; with the table back to the values where these are not small."""
    if not seg.size:
        return seg.astype(np.int8), None
    low, high = seg.min(), seg.max()
    for dtype in (np.int8, np.int16, np.int32):
        info = np.iinfo(dtype)
        if info.min <= low and high <= info.max:
            codes = seg.astype(dtype)
            if seg.dtype.kind in "iub" or np.array_equal(codes, seg):
                return codes, None
            break
    values, codes = np.unique(seg, return_inverse=True)
    return codes.reshape(seg.shape), values


def _resize_linear(codes: np.ndarray, new_shape: tuple[int, ...]) -> np.ndarray:
    taps = [linear_taps(n, m) for n, m in zip(codes.shape, new_shape)]
    nearest = [nearest_indices(n, m) for n, m in zip(codes.shape, new_shape)]
    changing = [axis for axis in range(codes.ndim) if codes.shape[axis] != new_shape[axis]]
    mixed = _mixed_cells(codes, changing)
    out = np.empty(new_shape, dtype=codes.dtype)
    step = max(1, _VOXELS_PER_SLAB // max(1, int(np.prod(new_shape[1:]))))
    for start in range(0, new_shape[0], step):
        rows = slice(start, start + step)
        slab = _gather(codes, [nearest[0][rows], *nearest[1:]])
        undecided = np.flatnonzero(_gather(mixed, [taps[0].lower[rows], *(t.lower for t in taps[1:])]))
        flat = slab.reshape(-1)
        for i in range(0, len(undecided), _VOTERS_AT_ONCE):
            voters = undecided[i : i + _VOTERS_AT_ONCE]
            position = list(np.unravel_index(voters, slab.shape))
            position[0] = position[0] + start
            flat[voters] = _vote(codes, position, taps, changing, flat[voters])
        out[rows] = slab
    return out


def _gather(array: np.ndarray, indices: list[np.ndarray]) -> np.ndarray:
    """``array[np.ix_(*indices)]``, faster; C-contiguous."""
    for axis, index in enumerate(indices):
        if len(index) != array.shape[axis] or (index != np.arange(len(index))).any():
            array = array.take(index, axis=axis)
    return np.array(array, order="C")


def _mixed_cells(codes: np.ndarray, axes: list[int]) -> np.ndarray:
    """Whether the cell spanned by a voxel and its upper neighbours along ``axes`` holds more than one label."""
    mixed = np.zeros(codes.shape, dtype=bool)
    for axis in axes:
        below = (slice(None),) * axis + (slice(None, -1),)
        above = (slice(None),) * axis + (slice(1, None),)
        # A cell is mixed if one of its two faces along this axis is, or if the voxel differs from the one above.
        grown = mixed.copy()
        grown[below] |= mixed[above]
        grown[below] |= codes[below] != codes[above]
        mixed = grown
    return mixed


def _vote(codes: np.ndarray, position: list[np.ndarray], taps: list, axes: list[int], nearest: np.ndarray):
    """Winning labels at the output voxels ``position`` (index array per axis); ``nearest``: their nearest labels."""
    labels, weights = _corners(codes, position, taps, axes)
    smallest, largest = labels.min(axis=0), labels.max(axis=0)
    low, high = np.zeros(len(nearest)), np.zeros(len(nearest))
    others = np.zeros(len(nearest), dtype=bool)
    for label, weight in zip(labels, weights):
        is_low, is_high = label == smallest, label == largest
        low += is_low * weight
        high += is_high * weight
        others |= ~(is_low | is_high)
    winner = np.where(low > high, smallest, np.where(high > low, largest, nearest))
    if others.any():
        winner[others] = _vote_among_many(labels[:, others], weights[:, others], nearest[others])
    return winner


def _corners(codes: np.ndarray, position: list[np.ndarray], taps: list, axes: list[int]):
    """Labels and weights (corners, voxels) of the interpolation cells; corners in lexicographic order."""
    stride = [int(np.prod(codes.shape[axis + 1 :])) for axis in range(codes.ndim)]
    base = sum(taps[axis].lower[position[axis]] * stride[axis] for axis in range(codes.ndim))
    upper = {axis: taps[axis].upper_weight[position[axis]] for axis in axes}
    step = {axis: (taps[axis].upper - taps[axis].lower)[position[axis]] * stride[axis] for axis in axes}
    flat = codes.reshape(-1)
    labels = np.empty((2 ** len(axes), len(base)), dtype=codes.dtype)
    weights = np.empty(labels.shape)
    for corner, sides in enumerate(itertools.product((0, 1), repeat=len(axes))):
        index, weight = base, 1.0
        for axis, side in zip(axes, sides):
            index = index + step[axis] if side else index
            weight = weight * (upper[axis] if side else 1 - upper[axis])
        labels[corner] = flat[index]
        weights[corner] = weight
    return labels, weights


def _vote_among_many(labels: np.ndarray, weights: np.ndarray, nearest: np.ndarray) -> np.ndarray:
    """The general rule, for cells with three labels or more. ``labels``, ``weights``: (corners, voxels)."""
    scores = np.zeros(weights.shape)
    of_nearest = np.zeros(len(nearest))
    for label, weight in zip(labels, weights):
        scores += (labels == label) * weight
        of_nearest += (nearest == label) * weight
    best = scores.max(axis=0)
    above_all = np.iinfo(np.int64).max
    smallest_best = np.where(scores == best, labels.astype(np.int64), above_all).min(axis=0)
    return np.where(of_nearest == best, nearest, smallest_best)


def _resize_by_indicators(seg: np.ndarray, new_shape: tuple[int, ...], order: int) -> np.ndarray:
    from batchgenerators.augmentations.utils import resize_segmentation

    return resize_segmentation(seg, new_shape, order=order)


def _interpolate_first_axis(planes: np.ndarray, new_length: int, order: int) -> np.ndarray:
    result = np.zeros((new_length, *planes.shape[1:]), dtype=planes.dtype)
    for label in np.unique(planes):
        result[interpolate_first_axis((planes == label).astype(np.float64), new_length, order) > 0.5] = label
    return result
