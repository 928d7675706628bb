"""Random samples of foreground intensities, drawn exactly as published fingerprints hold them, a piece at a time.

Digits depend on the random stream (``RandomState.choice`` with replacement, one stream per case shared by its channels
in order), on the order of the samples, and on their type: numpy adds float32 in float32. None of it can be changed
without changing every fingerprint, so what is done here is only done with less memory and time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

# Draws per step; a piece of indices and samples stays small, and the stream does not depend on it.
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
        indices = IndexStream(seed, foreground[0].size)
        drawn = []
        for voxels in foreground:
            samples = np.empty(num_samples, dtype=voxels.dtype)
            for start in range(0, num_samples, CHUNK):
                part = samples[start : start + CHUNK]
                part[...] = voxels[indices.take(part.size)]
            drawn.append(samples)
        return cls(channels=drawn, num_samples=num_samples)

    def count(self, channel: int) -> int:
        """Samples that this case contributes to a channel."""
        voxels = self.channels[channel].size
        return self.num_samples if voxels and self.seed is not None else voxels


class IndexStream:
    """``RandomState(seed).randint(0, n)`` as a stream, several times faster than asking for it.

    The generator draws 32 random bits, keeps as many as ``n`` needs, and tries again while the number is ``n`` or more.
    Doing that for many numbers at once gives the same numbers.
    """

    def __init__(self, seed: int, n: int):
        self._n = n
        self._mask = np.uint32((1 << (n - 1).bit_length()) - 1) if n <= 1 << 32 else None
        self._state = np.random.RandomState(seed)
        self._ready = np.empty(0, dtype=np.uint32)

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` indices below ``n``, (count,)."""
        if self._n == 1:
            return np.zeros(count, dtype=np.uint32)
        if self._mask is None:
            return self._state.randint(0, self._n, size=count)
        parts, missing = [], count
        while missing:
            if not self._ready.size:
                numbers = self._state.randint(0, 1 << 32, size=CHUNK, dtype=np.uint32)
                numbers &= self._mask
                self._ready = np.compress(numbers < self._n, numbers)  # several times faster than indexing
            parts.append(self._ready[:missing])
            self._ready = self._ready[missing:]
            missing -= parts[-1].size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def position(self) -> tuple:
        """Where the stream is, for ``go_to``."""
        return self._state.get_state(legacy=False), self._ready

    def go_to(self, position: tuple) -> None:
        """Continue from an earlier ``position``."""
        state, self._ready = position
        self._state.set_state(state)


class ChannelPool:
    """The samples of all cases, one channel after the other; each can be read as often as needed, in pieces."""

    def __init__(self, cases: Iterable[CaseSamples]):
        self._cases = list(cases)
        # Channels continue the stream of their case, so the streams live as long as the pool.
        self._streams = [
            IndexStream(case.seed, case.channels[0].size) if case.seed is not None and case.channels[0].size else None
            for case in self._cases
        ]
        self._channel = -1
        self._starts: list[tuple | None] = []

    def next_channel(self) -> int:
        """Go on to the next channel; returns how many samples it has. The one before must have been read to its end."""
        self._channel += 1
        self._starts = [stream and stream.position() for stream in self._streams]
        return sum(case.count(self._channel) for case in self._cases)

    @property
    def dtype(self) -> np.dtype:
        """Type of the channel's samples: float32, or float64 once a case has no foreground at all.

        The wider type is what joining with an empty list has always produced; means differ in the eighth digit.
        """
        parts = (case.channels[self._channel] for case in self._cases)
        return np.result_type(*{part.dtype if part.size else np.dtype(np.float64) for part in parts})

    def reader(self) -> PieceReader:
        """Reads the channel from its start, cases in order. Only one reader at a time."""
        for stream, start in zip(self._streams, self._starts):
            if stream is not None and start is not None:
                stream.go_to(start)
        return PieceReader(self._pieces(), self.dtype)

    def _pieces(self) -> Iterable[np.ndarray]:
        for case, stream in zip(self._cases, self._streams):
            voxels, count = case.channels[self._channel], case.count(self._channel)
            for start in range(0, count, CHUNK):
                size = min(CHUNK, count - start)
                yield voxels[start : start + size] if stream is None else voxels[stream.take(size)]


class PieceReader:
    """Reads a sequence of arrays as if they were one."""

    def __init__(self, pieces: Iterable[np.ndarray], dtype: np.dtype):
        self._pieces = iter(pieces)
        self._dtype = dtype
        self._left = np.empty(0, dtype)

    def take(self, count: int) -> np.ndarray:
        """The next ``count`` values, (count,), in an array of their own."""
        result = np.empty(count, self._dtype)
        done = 0
        while done < count:
            if not self._left.size:
                self._left = next(self._pieces)
            part = self._left[: count - done]
            result[done : done + part.size] = part
            self._left = self._left[part.size :]
            done += part.size
        return result
