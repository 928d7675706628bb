"""Running a network tile by tile over an image and adding up its weighted predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch

from nnunetv2.geometry.tiles import Slicer, padding_to_tile
from nnunetv2.inference.streaming.non_finite_logits import refuse_non_finite

# torch.OutOfMemoryError is the same class under the name it has had since torch 2.5.
OUT_OF_MEMORY = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)


def pad_to_tile(image: torch.Tensor, tile_size: Sequence[int]) -> tuple[torch.Tensor, Slicer]:
    """Pad (C, *spatial) with zeros, centred, up to the tile, and say how to cut the original out again.

    Zero is the value outside the body in normalised intensities. Without need the image itself is returned. The index
    tuple covers the channel axis too and fits any array (K, *padded spatial).
    """
    padding = padding_to_tile(image.shape[1:], tile_size)
    inner = (
        slice(None),
        *(slice(before, before + n) for n, (before, _) in zip(image.shape[1:], padding)),
    )
    if not any(after for _, after in padding):
        return image, inner
    # torch wants the last axis first
    flat = [amount for pair in reversed(padding) for amount in pair]
    return torch.nn.functional.pad(image, flat), inner


def accumulate_tiles(
    predict_tile: Callable[[torch.Tensor], torch.Tensor],
    image: torch.Tensor,
    slicers: Iterable[Slicer],
    *,
    num_outputs: int,
    importance: torch.Tensor | None,
    network_device: torch.device,
    dtype: torch.dtype = torch.float16,
) -> torch.Tensor:
    """Weighted mean of the tile predictions, shape (num_outputs, *spatial of image), on the device of ``image``.

    Parameters
    ----------
    predict_tile : maps (1, C, *tile) on ``network_device`` to (1, num_outputs, *tile).
    image : (C, *spatial), padded so that every tile fits.
    slicers : index tuples as made by ``geometry.tiles.tile_slicers``; tiles are added in this order.
    importance : weight of every voxel of a tile, on the device of ``image``; None weighs all voxels alike.
    dtype : of the sums. torch.float16 halves the memory; where only a tiny weight contributes (corners of the volume)
        it rounds logits coarsely. torch.float32 does not.

    Raises NonFiniteLogitsError when a prediction is NaN or a sum overflows.
    """
    logits = torch.zeros((num_outputs, *image.shape[1:]), dtype=dtype, device=image.device)
    weights = torch.zeros(image.shape[1:], dtype=dtype, device=image.device)
    for slicer in slicers:
        tile = image[slicer][None].to(network_device)
        prediction = predict_tile(tile)[0].to(image.device)
        # Not in place: the network may still own its output.
        logits[slicer] += prediction if importance is None else prediction * importance
        weights[slicer[1:]] += 1 if importance is None else importance
    logits /= weights
    refuse_non_finite(logits)
    return logits
