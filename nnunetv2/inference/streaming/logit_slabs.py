"""Tiles in, finished slabs of weighted logits out: the sliding window with memory bounded along Z.

Tiles come in the order of their first slice. A slice is finished once no later tile touches it; then its sums are
divided by the weights, handed on, and the memory is used for slices to come. Per fold, sums of one tile's thickness are
held, whatever the length of the volume. The numbers are those of adding up the whole volume first: same order of tiles
per voxel, same roundings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch

from nnunetv2.geometry.tiles import Slicer
from nnunetv2.inference.streaming.non_finite_logits import refuse_non_finite

# Slices of a 2D network are finished one by one; so many are done with one fold before the next fold takes over.
SLICES_PER_ROUND = 8
_VALUES_PER_PRODUCT = 1 << 23

Fold = int | None
Slab = tuple[int, torch.Tensor]
"""Index of the first slice, and logits (K, slices, Y, X)."""


@dataclass(frozen=True)
class Call:
    """One call of the network: tiles of one fold that start in one round."""

    fold: Fold
    slicers: tuple[Slicer, ...]
    finishes: tuple[int, int] | None
    """Slices [first, end) that are complete after this call, if any."""


def first_slice(slicer: Slicer) -> int:
    """Where a tile begins along Z."""
    return slicer[1] if isinstance(slicer[1], int) else slicer[1].start


def _end(slicer: Slicer) -> int:
    return slicer[1] + 1 if isinstance(slicer[1], int) else slicer[1].stop


def in_slice_order(slicers: Sequence[Slicer]) -> bool:
    """Whether tiles begin at slices that never go down, so that slabs can be finished on the way."""
    starts = [first_slice(slicer) for slicer in slicers]
    return bool(starts) and all(a <= b for a, b in pairwise(starts))


def rounds_of(slicers: Sequence[Slicer]) -> list[list[Slicer]]:
    """Tiles that are predicted with all folds before the next ones: those beginning at one slice, or at some slices.

    Thick tiles form one round per first slice, single slices (2D networks) one per ``SLICES_PER_ROUND``.
    """
    if isinstance(slicers[0][1], int):
        groups = groupby(slicers, key=lambda slicer: slicer[1] // SLICES_PER_ROUND)
    else:
        groups = groupby(slicers, key=first_slice)
    return [list(group) for _, group in groups]


def window_length(slicers: Sequence[Slicer]) -> int:
    """Largest number of slices for which sums are held at a time."""
    return max(max(map(_end, group)) - first_slice(group[0]) for group in rounds_of(slicers))


def network_calls_in_order(
    slicers: Sequence[Slicer], folds: Sequence[Fold], tiles_per_call: int, length: int
) -> list[Call]:
    """All calls of the network for a volume of ``length`` slices; each round goes through every fold."""
    groups = rounds_of(slicers)
    ends = [first_slice(group[0]) for group in groups[1:]] + [length]
    calls, done = [], 0
    for group, end in zip(groups, ends):
        for fold in folds:
            batches = [tuple(group[i : i + tiles_per_call]) for i in range(0, len(group), tiles_per_call)]
            calls += [Call(fold, batch, None) for batch in batches]
        if end > done:
            calls[-1] = Call(calls[-1].fold, calls[-1].slicers, (done, end))
            done = end
    return calls


class SlabSums:
    """Sums over tiles of a window of slices, one set per fold; slice ``z`` is kept at ``z % window``.

    ``plane`` is (Y, X) of the padded volume.
    """

    def __init__(
        self,
        folds: Sequence[Fold],
        num_outputs: int,
        window: int,
        plane: Sequence[int],
        *,
        importance: torch.Tensor | None,
        dtype: torch.dtype,
        device: torch.device,
    ):
        self._window = window
        self._importance = importance
        self._sums = {fold: torch.zeros((num_outputs, window, *plane), dtype=dtype, device=device) for fold in folds}
        self._weights = torch.zeros((window, *plane), dtype=dtype, device=device)
        self._first_fold = folds[0]

    def add(self, fold: Fold, slicer: Slicer, prediction: torch.Tensor) -> None:
        """Add the prediction (K, *tile) of the tile cut out by ``slicer``, weighted."""
        weights = self._importance
        if isinstance(slicer[1], int):
            prediction, weights = prediction[:, None], None if weights is None else weights[None]
        pieces = list(self._pieces(first_slice(slicer), _end(slicer)))
        # Some channels at a time: the product of all of them would be one more copy of the prediction.
        step = max(1, _VALUES_PER_PRODUCT // prediction[0].numel())
        for start in range(0, len(prediction), step):
            channels = slice(start, start + step)
            weighted = prediction[channels] if weights is None else prediction[channels] * weights
            for kept, part in pieces:
                self._sums[fold][(channels, kept, *slicer[2:])] += weighted[:, part]
        if fold == self._first_fold:  # the weights are the same for all
            for kept, part in pieces:
                self._weights[(kept, *slicer[2:])] += 1 if weights is None else weights[part]

    def take(self, first: int, end: int) -> torch.Tensor:
        """Mean logits (K, end - first, Y, X) of finished slices; their memory is cleared. At most one window."""
        pieces = [kept for kept, _ in self._pieces(first, end)]
        total: torch.Tensor | None = None
        for sums in self._sums.values():
            # One piece of a window at a time; a copy, since the window goes on being used.
            logits = torch.cat([sums[:, kept] / self._weights[kept] for kept in pieces], 1)
            total = logits if total is None else total.add_(logits)
            for kept in pieces:
                sums[:, kept] = 0
        for kept in pieces:
            self._weights[kept] = 0
        refuse_non_finite(total)
        return total.div_(len(self._sums)) if len(self._sums) > 1 else total

    def _pieces(self, first: int, end: int) -> Iterator[tuple[slice, slice]]:
        """Where slices [first, end) are kept, and which of them these are: one pair, or two around the end."""
        start = first
        while start < end:
            kept = start % self._window
            stop = min(end, start + self._window - kept)
            yield slice(kept, kept + stop - start), slice(start - first, stop - first)
            start = stop


def finished_slabs(
    predict: Callable[[Fold, torch.Tensor], torch.Tensor],
    image: Any,
    calls: Iterable[Call],
    sums: SlabSums,
    *,
    sums_device: torch.device,
    network_device: torch.device,
    slices_per_slab: int,
) -> Iterator[Slab]:
    """Run the network call by call and yield slabs of at most ``slices_per_slab`` slices as they are finished.

    Parameters
    ----------
    predict : maps a fold and tiles (B, C, *tile) on ``network_device`` to logits (B, K, *tile).
    image : cut with index tuples (all channels, then Z, Y, X), gives tensors (C, *tile).
    calls : from ``network_calls_in_order``, perhaps behind a progress bar.

    Raises NonFiniteLogitsError when a prediction is NaN or a sum overflows.
    """
    for call in calls:
        tiles = torch.stack([image[slicer].to(network_device) for slicer in call.slicers])
        predictions = predict(call.fold, tiles)
        for slicer, prediction in zip(call.slicers, predictions):
            sums.add(call.fold, slicer, prediction.to(sums_device))
        del tiles, predictions, prediction  # before the next call makes new ones
        if call.finishes is not None:
            first, end = call.finishes
            for start in range(first, end, slices_per_slab):
                stop = min(end, start + slices_per_slab)
                yield start, sums.take(start, stop)
