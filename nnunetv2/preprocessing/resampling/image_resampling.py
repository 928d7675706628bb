"""Resizing image volumes with one matrix per axis.

Equals ``skimage.transform.resize(..., mode="edge", anti_aliasing=False, clip=True)``, at a fraction of the time and
memory: no padded float64 copies, at most one intermediate volume. Volumes are (A, B, C); which axis means what does
not matter here. Weights are computed in float64; products in float32 unless the volume has more digits, which errs by
about 4e-7 of the values around a voxel in half the time and memory of float64.

Products go through torch where it is loaded already, so that its thread count is obeyed, and through numpy otherwise:
a process that only preprocesses need not spend the time and memory of loading torch. The two differ by rounding.
"""

from __future__ import annotations

import sys
from functools import lru_cache

import numpy as np

from nnunetv2.geometry.interpolation import ORDERS, coordinates, nearest_indices, operator, operator_blocks

# Columns of one product along the first axis: large enough for BLAS, small enough to stay near the caches.
_COLUMNS_PER_PRODUCT = 1 << 16

# Rows of an operator per product: enough for BLAS, few enough that only few columns of a long axis are needed.
_ROWS_PER_PRODUCT = 64
# Up to this length one product with the whole matrix is faster than several with what is not zero in it, where the
# matrix stands on the right: runs of columns of the result are not contiguous.
_LONGEST_WHOLE_AXIS = 1024

_Matrix = list[tuple[slice, slice, np.ndarray]]


def resize_volume(volume: np.ndarray, out: np.ndarray, order: int) -> None:
    """Resize ``volume`` (A, B, C) to the shape of ``out`` and write it there, in ``out``'s dtype.

    The result is clipped to the range of ``volume``, since splines overshoot. ``order`` other than 0, 1, 3 goes through
    scikit-image.
    """
    if order == 0:
        index = [nearest_indices(n, m) for n, m in zip(volume.shape, out.shape)]
        out[...] = volume[np.ix_(*index)]
    elif order not in ORDERS:
        out[...] = _skimage_resize(volume, out.shape, order)
    else:
        limits = (volume.min(), volume.max())
        if _planes_first(volume.shape, out.shape):
            planes = np.empty((volume.shape[0], *out.shape[1:]), dtype=_working_dtype(volume))
            _resize_planes(volume, planes, order, [None] * len(planes), range(len(planes)))
            _resize_first_axis(planes, out, order, limits)
        elif volume.shape[0] != out.shape[0]:
            stack = np.empty((out.shape[0], *volume.shape[1:]), dtype=_working_dtype(volume))
            _resize_first_axis(volume, stack, order, None)
            _resize_planes(stack, out, order, [limits] * len(stack), range(len(stack)))
        else:
            _resize_planes(volume, out, order, [limits] * len(volume), range(len(volume)))


def resize_stack(volume: np.ndarray, out: np.ndarray, order: int, order_first: int = 0) -> None:
    """Resize every plane of ``volume`` (A, B, C) on its own, then the first axis with ``order_first``; into ``out``.

    Planes are clipped to their own range; interpolation along the first axis is not clipped.
    """
    if order_first == 0:
        # Each output plane is a copy of one resized plane, so only planes that are used are resized, each once.
        source = nearest_indices(volume.shape[0], out.shape[0])
        used, first, count = np.unique(source, return_index=True, return_counts=True)
        targets = [slice(start, start + n) for start, n in zip(first, count)]
        resize_planes(volume[used] if len(used) < len(volume) else volume, out, order, targets)
        return
    planes = np.empty((volume.shape[0], *out.shape[1:]), dtype=np.float64)
    resize_planes(volume, planes, order, range(len(planes)))
    if volume.shape[0] == out.shape[0]:
        out[...] = planes
    else:
        out[...] = interpolate_first_axis(planes, out.shape[0], order_first)


def resize_planes(volume: np.ndarray, out: np.ndarray, order: int, targets) -> None:
    """Resize plane ``i`` of ``volume``, clip it to its own range, write it to ``out[targets[i]]`` (index or slice)."""
    if volume.shape[1:] == out.shape[1:]:
        for plane, target in zip(volume, targets):
            out[target] = plane
    elif order in (1, 3):
        limits = [(plane.min(), plane.max()) for plane in volume]
        _resize_planes(volume, out, order, limits, targets)
    else:
        for plane, target in zip(volume, targets):
            out[target] = _skimage_resize(plane, out.shape[1:], order)


def _planes_first(old: tuple[int, ...], new: tuple[int, ...]) -> bool:
    """Whether resizing planes before the first axis gives the smaller intermediate volume."""
    if old[0] == new[0] or old[1:] == new[1:]:
        return False
    return old[0] * new[1] * new[2] < new[0] * old[1] * old[2]


def _resize_planes(volume: np.ndarray, out: np.ndarray, order: int, limits, targets) -> None:
    """Both axes of every plane, one plane at a time, which keeps a plane in the cache between its two products."""
    dtype = _working_dtype(volume)
    rows = _matrix(volume.shape[1], out.shape[1], order, dtype)
    columns = _right_matrix(volume.shape[2], out.shape[2], order, dtype)
    rows_first = order == 3 and rows is not None and out.shape[1] < volume.shape[1]  # leaves less for the columns
    plane_in = np.empty(volume.shape[1:], dtype)
    half = np.empty((out.shape[1], volume.shape[2]) if rows_first else (volume.shape[1], out.shape[2]), dtype)
    full = np.empty(out.shape[1:], dtype)
    for plane, limit, target in zip(volume, limits, targets):
        result = plane
        if plane.dtype != dtype or not plane.flags.c_contiguous:
            result = plane_in
            result[...] = plane
        if rows_first:
            result = _times_plane(rows, result, half if columns is not None else full)
            result = result if columns is None else _plane_times(result, columns, full)
        else:
            result = result if columns is None else _plane_times(result, columns, half if rows is not None else full)
            result = result if rows is None else _times_plane(rows, result, full)
        out[target] = result if limit is None else np.clip(result, *limit, out=full)


def _times_plane(matrix: _Matrix, plane: np.ndarray, out: np.ndarray) -> np.ndarray:
    for new, old, weights in matrix:
        _multiply(weights, plane[old], out[new])
    return out


def _plane_times(plane: np.ndarray, matrix: _Matrix, out: np.ndarray) -> np.ndarray:
    for new, old, weights in matrix:
        _multiply(plane[:, old], weights, out[:, new])
    return out


def _resize_first_axis(volume: np.ndarray, out: np.ndarray, order: int, limits) -> None:
    """The first axis as products with runs of columns; clips to ``limits`` unless None."""
    dtype = _working_dtype(volume)
    blocks = _matrix(volume.shape[0], out.shape[0], order, dtype)
    if blocks is None:
        out[...] = volume if limits is None else np.clip(volume, *limits)
        return
    step = max(1, _COLUMNS_PER_PRODUCT // volume.shape[2])
    for start in range(0, volume.shape[1], step):
        part = np.ascontiguousarray(volume[:, start : start + step], dtype=dtype)
        flat = part.reshape(len(part), -1)
        result = _times_plane(blocks, flat, np.empty((out.shape[0], flat.shape[1]), dtype))
        if limits is not None:
            np.clip(result, *limits, out=result)
        out[:, start : start + step] = result.reshape(out.shape[0], *part.shape[1:])


def _multiply(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
    """``out = left @ right`` for matrices of one dtype."""
    torch = sys.modules.get("torch")
    if torch is None:
        np.matmul(left, right, out=out)
    else:
        torch.mm(*map(torch.from_numpy, (left, right)), out=torch.from_numpy(out))


@lru_cache(maxsize=64)
def _matrix(old: int, new: int, order: int, dtype: np.dtype) -> _Matrix | None:
    """The operator in blocks ``(new rows, old rows, weights)``; None when nothing changes."""
    if old == new:
        return None
    blocks = operator_blocks(old, new, order, _ROWS_PER_PRODUCT)
    return [(block.rows, block.columns, block.weights.astype(dtype)) for block in blocks]


@lru_cache(maxsize=64)
def _right_matrix(old: int, new: int, order: int, dtype: np.dtype) -> _Matrix | None:
    """The transposed operator in blocks ``(new columns, old columns, weights)``; None when nothing changes."""
    if old == new:
        return None
    rows = new if max(old, new) <= _LONGEST_WHOLE_AXIS else 4 * _ROWS_PER_PRODUCT
    return [
        (b.rows, b.columns, np.ascontiguousarray(b.weights.T, dtype)) for b in operator_blocks(old, new, order, rows)
    ]


def _working_dtype(volume: np.ndarray) -> np.dtype:
    """float32, or float64 for inputs that float32 cannot hold."""
    return np.result_type(volume.dtype, np.float32)


def _skimage_resize(array: np.ndarray, new_shape: tuple[int, ...], order: int) -> np.ndarray:
    from skimage.transform import resize

    return resize(array.astype(np.float64), new_shape, order=order, mode="edge", clip=True, anti_aliasing=False)


def interpolate_first_axis(planes: np.ndarray, new_length: int, order: int) -> np.ndarray:
    """Spline of ``order`` along the first axis of (A, B, C), float64, not clipped; slow for orders without a matrix."""
    if order in ORDERS:
        return np.tensordot(operator(len(planes), new_length, order), planes, axes=1)
    from scipy.ndimage import map_coordinates

    result = np.empty((new_length, *planes.shape[1:]))
    x = coordinates(planes.shape[0], new_length)
    for row in range(planes.shape[1]):
        grid = np.meshgrid(x, np.arange(planes.shape[2], dtype=np.float64), indexing="ij")
        result[:, row] = map_coordinates(planes[:, row], grid, order=order, mode="nearest")
    return result
