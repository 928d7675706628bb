"""Interpolation on a regular grid as one small matrix per axis: nearest, linear, cubic spline.

Interpolation of order 0, 1 or 3 is a tensor product, so resizing an array means multiplying each axis by a matrix of
shape (new, old). The matrices here have the edge rule (constant continuation) and the spline prefilter folded in, and
equal ``skimage.transform.resize(..., mode="edge", anti_aliasing=False, clip=False)`` to about 1e-14 of the value range.

Legend: ``old`` and ``new`` are axis lengths; output ``k`` lies at ``x = old / new * (k + 1/2) - 1/2`` on the old axis
(centres of pixels correspond, not corners).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

ORDERS = (0, 1, 3)

# Pole of the cubic B-spline prefilter (Unser, IEEE Signal Processing Magazine 16(6), 1999): weights decay like |z|^d.
_POLE = np.sqrt(3.0) - 2.0

# Columns farther than this from an output position have spline weights below |z|^14 = 1e-8, less than float32 resolves,
# and are dropped in blocks.
_SPLINE_REACH = 14

# Weights this small change no digit of a float64 sum, but in float32 they are denormal numbers, which processors
# multiply many times slower.
_NOTHING = 1e-20


class LinearTaps(NamedTuple):
    """The two neighbours of every output position of a linear interpolation."""

    lower: np.ndarray
    """Index of the neighbour below, (new,) int64."""
    upper: np.ndarray
    """Index of the neighbour above, (new,) int64; equal to ``lower`` at the upper end."""
    upper_weight: np.ndarray
    """Weight of the neighbour above, (new,) float64 in [0, 1); the one below has ``1 - upper_weight``."""


class Block(NamedTuple):
    """A run of rows of an operator without the columns that are zero for all of them."""

    rows: slice
    columns: slice
    weights: np.ndarray
    """(rows, columns) float64, read-only."""


def coordinates(old: int, new: int) -> np.ndarray:
    """Positions of the new samples on the old axis, (new,) float64, between -1/2 and old - 1/2."""
    if old < 1 or new < 1:
        raise ValueError(f"axis lengths must be positive, not {old} -> {new}")
    # This order of evaluation matters: other roundings move exact halves and integers.
    return (old / new) * (np.arange(new, dtype=np.float64) + 0.5) - 0.5


@lru_cache(maxsize=256)
def nearest_indices(old: int, new: int) -> np.ndarray:
    """Index of the nearest old sample for every new one, (new,) int64, read-only; exact halves go up."""
    return _frozen(np.floor(np.clip(coordinates(old, new), 0, old - 1) + 0.5).astype(np.int64))


@lru_cache(maxsize=256)
def linear_taps(old: int, new: int) -> LinearTaps:
    """Neighbours and weights of linear interpolation, edges continued; arrays are read-only."""
    x = np.clip(coordinates(old, new), 0, old - 1)
    below = np.floor(x)
    lower = below.astype(np.int64)
    return LinearTaps(_frozen(lower), _frozen(np.minimum(lower + 1, old - 1)), _frozen(x - below))


@lru_cache(maxsize=64)
def operator(old_length: int, new_length: int, order: int) -> np.ndarray:
    """Matrix that resizes an axis: (new, old) float64, read-only; every row sums to 1.

    ``order`` is 0 (nearest, halves go up), 1 (linear) or 3 (cubic spline through the signal continued by its edge
    values). Raises ValueError for another order.
    """
    return _frozen(_rows(coordinates(old_length, new_length), old_length, order))


@lru_cache(maxsize=64)
def operator_blocks(old_length: int, new_length: int, order: int, rows_per_block: int = 32) -> tuple[Block, ...]:
    """The same matrix cut into runs of rows, each with only the columns it needs.

    Together they equal ``operator`` to 2e-8: far spline weights are dropped, so the cost of a product grows linearly
    with the axis length.
    """
    starts = range(0, new_length, rows_per_block)
    return tuple(
        operator_rows(old_length, new_length, order, start, min(start + rows_per_block, new_length)) for start in starts
    )


def operator_rows(old_length: int, new_length: int, order: int, first: int, end: int) -> Block:
    """Rows ``first`` to ``end`` (excluded) of the operator with only the columns they need; not kept."""
    x = coordinates(old_length, new_length)[first:end]
    reach = _SPLINE_REACH if order == 3 else 1
    columns = slice(max(0, int(np.floor(x[0])) - reach), min(old_length, int(np.ceil(x[-1])) + reach + 1))
    weights = _frozen(np.ascontiguousarray(_rows(x, old_length, order)[:, columns]))
    return Block(slice(first, end), columns, weights)


def _rows(x: np.ndarray, n: int, order: int) -> np.ndarray:
    """Weights of the ``n`` old samples at the positions ``x``: (len(x), n) float64."""
    if order not in ORDERS:
        raise ValueError(f"interpolation order {order} has no matrix here; use one of {ORDERS}")
    if order == 3:
        return _spline_rows(x, n)
    rows = np.zeros((len(x), n))
    every = np.arange(len(x))
    x = np.clip(x, 0, n - 1)
    if order == 0:
        rows[every, np.floor(x + 0.5).astype(np.int64)] = 1
        return rows
    below = np.floor(x).astype(np.int64)
    rows[every, below] = 1 - (x - below)
    rows[every, np.minimum(below + 1, n - 1)] += x - below
    return rows


def _spline_rows(x: np.ndarray, n: int) -> np.ndarray:
    """Cubic spline weights of a signal f continued by f[0] and f[n-1] without end.

    With coefficients c the spline is ``sum_i c_i B(x - i)``. Inside, ``c_{i-1} + 4 c_i + c_{i+1} = 6 f_i``; the outer
    bounded solution is ``c_{-j} = f_0 + z^j (c_0 - f_0)``. So the taps outside fold into c_0 and f_0, which leaves
    ``rows = taps_on_c @ inverse(A) @ diag(r) + taps_on_f`` with a symmetric tridiagonal A.
    """
    on_c, on_f = np.zeros((len(x), n)), np.zeros((len(x), n))
    every = np.arange(len(x))
    start = np.floor(x).astype(np.int64)
    for offset, weight in zip((-1, 0, 1, 2), _cubic_weights(x - start)):
        index = start + offset
        inside = np.clip(index, 0, n - 1)
        decay = _POLE ** np.abs(index - inside)  # 1 inside, z or z^2 outside
        on_c[every, inside] += weight * decay
        on_f[every, inside] += weight * (1 - decay)
    if n == 1:
        return on_c + on_f  # the coefficient of a single sample is the sample
    diagonal, right = np.full(n, 4.0), np.full(n, 6.0)
    diagonal[[0, -1]] += _POLE
    right[[0, -1]] += _POLE - 1
    from scipy.linalg import solveh_banded

    banded = np.stack([np.concatenate([[0.0], np.ones(n - 1)]), diagonal])
    rows = solveh_banded(banded, on_c.T, check_finite=False).T * right + on_f
    rows[np.abs(rows) < _NOTHING] = 0
    return rows


def _cubic_weights(t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cubic B-spline at distances 1+t, t, 1-t, 2-t, for t in [0, 1)."""
    s = 1 - t
    return s**3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (4 - 6 * s**2 + 3 * s**3) / 6, t**3 / 6


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
