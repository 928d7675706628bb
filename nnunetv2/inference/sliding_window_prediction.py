"""The importance map as a tensor, and tile positions per axis, under their established names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch

from nnunetv2.geometry.tiles import gaussian_importance, tile_starts


@lru_cache(maxsize=2)
def compute_gaussian(
    tile_size: tuple[int, ...],
    sigma_scale: float = 1.0 / 8,
    value_scaling_factor: float = 1,
    dtype: torch.dtype = torch.float16,
    device: torch.device = torch.device("cuda", 0),  # noqa: B008 - an immutable value, part of the signature
) -> torch.Tensor:
    """Importance of every voxel of a tile, shape ``tile_size``, largest value ``value_scaling_factor``.

    The map is scaled in float64 and cast to ``dtype`` afterwards. No weight is zero: where the cast underflows, the
    smallest weight that survived is used, because the weights are divided by later.

    The two latest maps are kept; ``compute_gaussian.cache_clear()`` frees them. Treat the tensor as read-only.
    """
    weights = torch.from_numpy(gaussian_importance(tile_size, sigma_scale))
    weights = (weights / (weights.max() / value_scaling_factor)).to(device=device, dtype=dtype)
    weights[weights == 0] = weights[weights != 0].min()
    return weights


def compute_steps_for_sliding_window(
    image_size: Sequence[int], tile_size: Sequence[int], tile_step_size: float
) -> list[list[int]]:
    """First index of every tile, one list per axis; ``tile_step_size`` is a fraction of the tile in (0, 1].

    Raises UsageError (an AssertionError) when the step is out of range or the image is smaller than a tile.
    """
    return [tile_starts(length, tile, tile_step_size) for length, tile in zip(image_size, tile_size)]
