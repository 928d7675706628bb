"""Where sliding-window tiles lie, how an image is padded for them, and how much each voxel of a tile counts.

Pure array arithmetic. Sizes are in voxels, in array axis order. A two-dimensional tile on a volume (Z, Y, X) covers the
last two axes; every slice along Z is tiled by itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import ceil

import numpy as np

from nnunetv2.errors import UsageError

Slicer = tuple[int | slice, ...]


def tile_starts(length: int, tile: int, step_fraction: float) -> list[int]:
    """First index of every tile along one axis.

    Neighbouring tiles are at most ``step_fraction * tile`` voxels apart; the first starts at 0, the last ends at
    ``length``, and the others are spread evenly between them, rounded half to even. ``length`` must be at least
    ``tile``, and ``step_fraction`` in (0, 1]; otherwise UsageError (an AssertionError and ValueError).
    """
    if not 0 < step_fraction <= 1:
        raise UsageError(
            f"tile_step_size is {step_fraction}; it is a fraction of the patch size, above 0 and at most 1"
        )
    if length < tile:
        raise UsageError(f"an image axis of {length} voxels is shorter than the patch ({tile}); pad the image first")
    gaps = ceil((length - tile) / (tile * step_fraction))
    if gaps == 0:
        return [0]
    distance = (length - tile) / gaps
    return [round(i * distance) for i in range(gaps + 1)]


def tile_slicers(image_size: Sequence[int], tile_size: Sequence[int], step_fraction: float) -> list[Slicer]:
    """Index tuples that cut every tile out of an array (C, *image_size), the last axis varying fastest.

    A tile with one dimension less than the image is laid on every slice of the first spatial axis; that axis is then
    indexed by an integer, so the cut has shape (C, *tile_size) in both cases.

    Raises UsageError when more than one dimension is missing.
    """
    missing = len(image_size) - len(tile_size)
    if missing not in (0, 1):
        raise UsageError(f"patch size {tuple(tile_size)} does not fit an image of shape {tuple(image_size)}")
    axes: list[list[int | slice]] = [list(range(image_size[0]))] if missing else []
    for length, tile in zip(image_size[missing:], tile_size):
        axes.append([slice(start, start + tile) for start in tile_starts(length, tile, step_fraction)])
    return [(slice(None), *position) for position in itertools.product(*axes)]


def padding_to_tile(image_size: Sequence[int], tile_size: Sequence[int]) -> list[tuple[int, int]]:
    """Voxels to add (before, after) per axis so that every axis covered by the tile is at least as long as the tile.

    The image stays centred; an odd difference puts the extra voxel after it. A two-dimensional tile leaves the first
    axis of a volume alone.
    """
    uncovered = len(image_size) - len(tile_size)
    padding = [(0, 0)] * uncovered
    for length, tile in zip(image_size[uncovered:], tile_size):
        lack = max(tile - length, 0)
        padding.append((lack // 2, lack - lack // 2))
    return padding


def gaussian_importance(tile_size: Sequence[int], sigma_scale: float = 1 / 8) -> np.ndarray:
    """Weight of every voxel of a tile, float64, shape ``tile_size``, largest at index ``size // 2`` of each axis.

    A unit impulse there is smoothed with sigma ``sigma_scale * size`` voxels per axis, zeros outside, truncated at 4
    sigma (scipy's default). A filtered impulse is the outer product of its axes, so one filter of a line per axis
    is enough; multiplied in axis order the values equal those of ``scipy.ndimage.gaussian_filter`` bit for bit.
    """
    from scipy.ndimage import gaussian_filter1d

    weights = np.ones(())
    for size in tile_size:
        impulse = np.zeros(size)
        impulse[size // 2] = 1
        profile = gaussian_filter1d(impulse, sigma=size * sigma_scale, mode="constant", cval=0)
        weights = weights[..., None] * profile
    return weights
