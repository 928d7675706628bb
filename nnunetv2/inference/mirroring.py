"""Test-time mirroring: the mean prediction over an image and its mirror images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch

from nnunetv2.errors import UsageError


def flip_combinations(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """All non-empty subsets of ``axes``, smaller ones first, each in the given order."""
    return [subset for size in range(1, len(axes) + 1) for subset in itertools.combinations(axes, size)]


def checked_flips(axes: Sequence[int] | None, spatial_dims: int) -> list[tuple[int, ...]]:
    """Dimensions of a batch (B, C, *spatial) to flip for each mirror image; without ``axes`` there is none.

    Raises UsageError (an AssertionError) when an axis does not exist.
    """
    axes = tuple(axes or ())
    if any(not 0 <= axis < spatial_dims for axis in axes):
        raise UsageError(
            f"mirroring axes {axes} do not fit an input with {spatial_dims} spatial axes. They come from the "
            "checkpoint (inference_allowed_mirroring_axes); use --disable_tta or use_mirroring=False"
        )
    return flip_combinations([axis + 2 for axis in axes])


def mean_over_flips(
    network: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor, axes: Sequence[int] | None
) -> torch.Tensor:
    """Mean of ``network(batch)`` and its values on all mirror images of ``batch``, each flipped back.

    ``batch`` is (B, C, *spatial) and ``axes`` count its spatial axes from 0; None or no axes means no mirroring.
    ``2 ** len(axes)`` calls. The mean is taken over logits, in the order of ``flip_combinations`` and in the dtype the
    network returns.

    Raises UsageError (an AssertionError) when an axis does not exist.
    """
    combinations = checked_flips(axes, batch.ndim - 2)
    prediction = network(batch)
    if not combinations:
        return prediction
    # A network may hand out a buffer it reuses, or its own input; the sum needs memory of its own.
    prediction = prediction.clone()
    for dims in combinations:
        prediction += torch.flip(network(torch.flip(batch, dims)), dims)
    prediction /= len(combinations) + 1
    return prediction
