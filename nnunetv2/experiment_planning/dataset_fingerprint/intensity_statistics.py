"""Statistics of very many samples that are read twice, in pieces, equal to numpy's to the last digit.

Sums: numpy halves long arrays (at a multiple of 8), and adds the sums of the halves; so do the functions here, which
therefore never need all samples at once. Percentiles: the samples are counted by the upper half of their bits in the
first pass, and those that share it with a wanted rank by the lower half in the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

# Longest run of samples that is added at once.
PIECE = 1 << 20
# One array of float64: a scalar would make numpy interpolate in float32, with other digits.
_PERCENTAGES = np.array((0.5, 50.0, 99.5))
_HALF = 1 << 16


class Reader(Protocol):
    """Gives the samples in order."""

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` of them."""


def intensity_statistics(samples: np.ndarray) -> dict[str, float]:
    """Max, mean, median, min, percentiles 0.5 and 99.5, and standard deviation of ``samples`` (1D, not empty)."""
    return streamed_statistics(samples.size, lambda: _ArrayReader(samples))


def streamed_statistics(size: int, read: Callable[[], Reader]) -> dict[str, float]:
    """The same of ``size`` samples; ``read`` returns a new reader of them and is called twice.

    Samples that float32 cannot hold are taken into memory all at once.
    """
    try:
        return _in_two_passes(size, read)
    except _NotSinglePrecision:
        return _at_once(read().take(size))


class _NotSinglePrecision(Exception):
    """Samples have more digits than the counting of bits looks at, or are no floating-point numbers."""


def _at_once(samples: np.ndarray) -> dict[str, float]:
    low, median, high = np.percentile(samples, _PERCENTAGES)
    statistics = {
        "max": np.max(samples),
        "mean": np.mean(samples),
        "median": median,
        "min": np.min(samples),
        "percentile_00_5": low,
        "percentile_99_5": high,
        "std": np.std(samples),
    }
    return {name: float(value) for name, value in statistics.items()}


def _in_two_passes(size: int, read: Callable[[], Reader]) -> dict[str, float]:
    ranks = _Ranks(size)
    first = _FirstPass(read(), ranks)
    total = _pairwise(size, first.sum_of_next)
    mean = _divided(total, size)
    ranks.narrow()
    second = _SecondPass(read(), ranks, mean)
    squares = _pairwise(size, second.squares_of_next)
    low, median, high = ranks.percentiles(mean.dtype)
    statistics = {
        "max": first.highest,
        "mean": mean,
        "median": median,
        "min": first.lowest,
        "percentile_00_5": low,
        "percentile_99_5": high,
        "std": np.sqrt(_divided(squares, size)),
    }
    return {name: float(value) for name, value in statistics.items()}


def _divided(total: np.floating, size: int) -> np.floating:
    """``total / size`` in the type of ``total``, divided in float64 as numpy does: float32 cannot hold every size."""
    return total.dtype.type(np.float64(total) / size)


def _pairwise(size: int, piece: Callable[[int], np.floating]) -> np.floating:
    """Sum over ``size`` samples, ``piece(n)`` being that over the next ``n``, in the order in which numpy adds."""
    if size <= PIECE:
        return piece(size)
    half = size // 2
    half -= half % 8
    return _pairwise(half, piece) + _pairwise(size - half, piece)


class _ArrayReader:
    def __init__(self, samples: np.ndarray):
        self._samples, self._next = samples, 0

    def take(self, count: int) -> np.ndarray:
        self._next += count
        return self._samples[self._next - count : self._next]


class _FirstPass:
    def __init__(self, reader: Reader, ranks: _Ranks):
        self._reader, self._ranks = reader, ranks
        self.lowest, self.highest = np.inf, -np.inf

    def sum_of_next(self, count: int) -> np.floating:
        samples = self._reader.take(count)
        self.lowest, self.highest = min(self.lowest, samples.min()), max(self.highest, samples.max())
        self._ranks.count_upper(samples)
        return np.add.reduce(samples)


class _SecondPass:
    def __init__(self, reader: Reader, ranks: _Ranks, mean: np.floating):
        self._reader, self._ranks, self._mean = reader, ranks, mean

    def squares_of_next(self, count: int) -> np.floating:
        samples = self._reader.take(count)
        self._ranks.count_lower(samples)
        deviation = samples - self._mean
        return np.add.reduce(np.multiply(deviation, deviation, out=deviation))


class _Ranks:
    """The samples of the ranks that the percentiles lie between, found by counting."""

    def __init__(self, size: int):
        self._size = size
        position = _PERCENTAGES / 100 * (size - 1)
        below = np.floor(position).astype(np.int64)
        self._ranks = np.unique([below, np.minimum(below + 1, size - 1)])
        self._upper = np.zeros(_HALF, dtype=np.int64)
        self._lower: dict[int, np.ndarray] = {}

    def count_upper(self, samples: np.ndarray) -> None:
        self._upper += np.bincount(_ordered_bits(samples) >> 16, minlength=_HALF)

    def narrow(self) -> None:
        """Find out which upper halves hold a rank."""
        ends = np.cumsum(self._upper)
        buckets = np.searchsorted(ends, self._ranks, side="right")
        self._lower = {int(bucket): np.zeros(_HALF, dtype=np.int64) for bucket in buckets}
        self._before = {bucket: int(ends[bucket] - self._upper[bucket]) for bucket in self._lower}

    def count_lower(self, samples: np.ndarray) -> None:
        bits = _ordered_bits(samples)
        upper = (bits >> 16).astype(np.uint16)
        for bucket, counts in self._lower.items():
            chosen = bits[upper == bucket]
            if chosen.size:
                counts += np.bincount(chosen & 0xFFFF, minlength=_HALF)

    def percentiles(self, dtype: np.dtype) -> list[float]:
        """The wanted percentiles of samples of type ``dtype``."""
        values = {}
        for rank in self._ranks:
            bucket = max(b for b, before in self._before.items() if before <= rank)
            lower = int(np.searchsorted(np.cumsum(self._lower[bucket]), rank - self._before[bucket], side="right"))
            values[int(rank)] = dtype.type(_from_ordered_bits(bucket << 16 | lower))
        return [self._interpolated(percentage, values) for percentage in _PERCENTAGES]

    def _interpolated(self, percentage: float, values: dict[int, np.floating]) -> float:
        """As ``numpy.percentile`` does with method linear: from the nearer of the two samples."""
        position = percentage / 100 * (self._size - 1)
        below = int(np.floor(position))
        share = position - below
        low, high = values[below], values[min(below + 1, self._size - 1)]
        step = high - low
        return float(high - step * (1 - share) if share >= 0.5 else low + step * share)


def _ordered_bits(samples: np.ndarray) -> np.ndarray:
    """Bits of float32 values as uint32 that sort like the values; the values may be stored as float64."""
    if samples.dtype not in (np.float32, np.float64):
        raise _NotSinglePrecision
    single = np.ascontiguousarray(samples, dtype=np.float32)
    if samples.dtype != np.float32 and not np.array_equal(single, samples):
        raise _NotSinglePrecision
    bits = single.view(np.int32)
    # All bits of a negative number are flipped, of others only the sign.
    return (bits ^ ((bits >> 31) | np.int32(-(1 << 31)))).view(np.uint32)


def _from_ordered_bits(bits: int) -> np.float32:
    flipped = bits ^ (0x80000000 if bits & 0x80000000 else 0xFFFFFFFF)
    return np.array([flipped], dtype=np.uint32).view(np.float32)[0]
