"""Random samples of foreground intensities, and their statistics, exactly as published fingerprints hold them.

Digits depend on the random stream (``RandomState.choice`` with replacement, one stream per case shared by its channels
in order), on the order of the samples, and on their type: numpy adds float32 in float32. None of it can be changed
without changing every fingerprint, so what is done here is only done with less memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# Draws per step; a chunk of indices and samples stays small, and the stream does not depend on it.
CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class CaseSamples:
    """The samples of one case, drawn or still to be drawn, whichever takes less memory."""

    channels: list[np.ndarray]
    """Per channel either the samples or, with ``seed``, the foreground voxels to draw from; 1D."""
    num_samples: int
    """Samples per channel; none are drawn from a case without foreground."""
    seed: int | None = None
    """Seed of the stream for drawing; None: ``channels`` holds the samples themselves."""

    @classmethod
    def prepare(cls, foreground: Sequence[np.ndarray], num_samples: int, seed: int) -> CaseSamples:
        """From the foreground voxels per channel: draws now if the samples are fewer than the voxels, else later."""
        pending = cls(channels=list(foreground), num_samples=num_samples, seed=seed)
        if foreground[0].size <= num_samples:
            return pending
        drawn = [np.empty(num_samples, dtype=voxels.dtype) for voxels in foreground]
        state = np.random.RandomState(seed)
        for voxels, out in zip(foreground, drawn):
            draw_into(out, voxels, state)
        return cls(channels=drawn, num_samples=num_samples)

    def count(self, channel: int) -> int:
        """Samples that this case contributes to a channel."""
        voxels = self.channels[channel].size
        return self.num_samples if voxels and self.seed is not None else voxels


def draw_into(out: np.ndarray, voxels: np.ndarray, state: np.random.RandomState) -> None:
    """Fill ``out`` (1D) with draws from ``voxels`` (1D, not empty), as ``state.choice(voxels, out.size)`` would."""
    for start in range(0, out.size, CHUNK):
        part = out[start : start + CHUNK]
        part[:] = voxels[state.randint(0, voxels.size, size=part.size)]


class ChannelPool:
    """The samples of all cases, one channel after the other, in one array at a time."""

    def __init__(self, cases: Iterable[CaseSamples]):
        self._cases = list(cases)
        # Channels continue the stream of their case, so the streams live as long as the pool.
        self._streams = [np.random.RandomState(c.seed) if c.seed is not None else None for c in self._cases]
        self._next = 0

    def next_channel(self) -> np.ndarray:
        """Samples of the next channel, cases in order; float32, or float64 once a case has no foreground at all.

        The wider type is what joining with an empty list has always produced; means differ in the eighth digit.
        """
        channel, self._next = self._next, self._next + 1
        parts = [case.channels[channel] for case in self._cases]
        dtype = np.result_type(*{part.dtype if part.size else np.dtype(np.float64) for part in parts})
        counts = [case.count(channel) for case in self._cases]
        pooled = np.empty(sum(counts), dtype=dtype)
        ends = np.cumsum(counts)
        for part, stream, count, end in zip(parts, self._streams, counts, ends):
            out = pooled[end - count : end]
            if stream is None:
                out[:] = part
            elif part.size:
                draw_into(out, part, stream)
        return pooled


def intensity_statistics(samples: np.ndarray) -> dict[str, float]:
    """Max, mean, median, min, percentiles 0.5 and 99.5, and standard deviation of ``samples`` (1D, not empty).

    Reorders ``samples`` in place, which saves a copy.
    """
    mean = np.mean(samples)
    statistics = {"max": np.max(samples), "mean": mean, "min": np.min(samples)}
    statistics["std"] = np.sqrt(_sum_of_squares(samples, mean) / mean.dtype.type(samples.size))
    # NOTE one call with an array of float64: a scalar would make numpy interpolate in float32, with other digits.
    low, median, high = np.percentile(samples, np.array((0.5, 50.0, 99.5)), overwrite_input=True)
    statistics |= {"median": median, "percentile_00_5": low, "percentile_99_5": high}
    return {name: float(statistics[name]) for name in sorted(statistics)}


def _sum_of_squares(samples: np.ndarray, mean: np.floating) -> np.floating:
    """Sum of squared deviations in the type of ``samples``, added in the order in which numpy adds a long array.

    numpy halves long arrays (at a multiple of 8) and adds the halves' sums; doing the same here avoids a copy of all
    samples without changing a digit.
    """
    if samples.size <= CHUNK:
        deviation = samples - mean
        return np.add.reduce(np.multiply(deviation, deviation, out=deviation))
    half = samples.size // 2
    half -= half % 8
    return _sum_of_squares(samples[:half], mean) + _sum_of_squares(samples[half:], mean)
