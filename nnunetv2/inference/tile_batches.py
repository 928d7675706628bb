"""Mean over mirror images of a batch of tiles, computed several at once, and constant tiles computed once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import torch

from nnunetv2.inference.mirroring import checked_flips, mean_over_flips

# Logits of constant tiles that are kept, in bytes. One tile of 96 x 128 x 128 voxels and 10 classes is 63 MB.
CONSTANT_TILES_BYTES = 256 * 2**20


def mean_over_flips_in_batches(
    predict: Callable[[torch.Tensor], torch.Tensor], tiles: torch.Tensor, axes: Sequence[int] | None, batch: int
) -> torch.Tensor:
    """Mean of ``predict`` over tiles (B, C, *patch) and their mirror images, each flipped back: (B, K, *patch).

    Like ``mirroring.mean_over_flips`` for each tile, sums in the same order, but ``batch`` tiles and copies of tiles
    are given to ``predict`` at once, across tiles.
    """
    flips = [(), *checked_flips(axes, tiles.ndim - 2)]
    if len(flips) == 1 and len(tiles) <= batch:
        return predict(tiles)  # not copied: with many classes these are the largest arrays of a prediction
    jobs = [(tile, flip) for tile in range(len(tiles)) for flip in flips]
    total: torch.Tensor | None = None
    for start in range(0, len(jobs), batch):
        chunk = jobs[start : start + batch]
        inputs = torch.stack([torch.flip(tiles[tile], _without_batch_axis(flip)) for tile, flip in chunk])
        for (tile, flip), logits in zip(chunk, predict(inputs)):
            if total is None:
                total = torch.empty((len(tiles), *logits.shape), dtype=logits.dtype, device=logits.device)
            if flip:
                total[tile] += torch.flip(logits, _without_batch_axis(flip))
            else:
                total[tile] = logits
    return total if len(flips) == 1 else total.div_(len(flips))


def _without_batch_axis(dims: Sequence[int]) -> tuple[int, ...]:
    return tuple(dim - 1 for dim in dims)


def constant_values(tile: torch.Tensor) -> tuple[float, ...] | None:
    """The value of each channel of a tile (C, *patch) if every channel is constant, else None.

    Three voxels are compared first, which settles most cases.
    """
    flat = tile.reshape(len(tile), -1)
    if not torch.equal(flat[:, 0], flat[:, -1]) or not torch.equal(flat[:, 0], flat[:, flat.shape[1] // 2]):
        return None
    low, high = torch.aminmax(flat, dim=1)
    return tuple(low.tolist()) if torch.equal(low, high) else None


def mean_of_flipped(logits: torch.Tensor, axes: Sequence[int] | None) -> torch.Tensor:
    """What ``mean_over_flips_in_batches`` gives for constant tiles: mirror images of them are the tiles themselves, so
    their logits (B, K, *patch) need to be computed once and are flipped back as often.
    """
    return mean_over_flips(lambda batch: logits, logits, axes)


class ConstantTiles:
    """Logits of tiles in which every channel has one value, such as air, kept by fold and values.

    At most ``limit`` bytes
    are kept; the one not used for longest goes first.
    """

    def __init__(self, limit: int = CONSTANT_TILES_BYTES):
        self._limit = limit
        self._kept: OrderedDict[Hashable, torch.Tensor] = OrderedDict()

    def get(self, key: Hashable, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """What is kept under ``key``, or what ``compute`` gives. Callers do not change it."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        logits = compute()
        if logits.nbytes <= self._limit:
            self._kept[key] = logits
            while sum(entry.nbytes for entry in self._kept.values()) > self._limit:
                self._kept.popitem(last=False)
        return logits

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
