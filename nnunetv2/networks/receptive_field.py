"""How much of the input one output voxel of a U-Net can see, along each axis.

Normalization over the whole patch mixes in a little of everything; that is left out, as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from nnunetv2.networks.unet_shape import UNetShape

Interval = tuple[int, int]


def receptive_field(shape: UNetShape) -> tuple[int, ...]:
    """Voxels per axis, without the borders of the patch.

    Output voxels at different places within a pooling window see different ranges; the largest counts.
    """
    axes = len(shape.strides[0])
    return tuple(
        _along_axis(shape, [stride[axis] for stride in shape.strides], [kernel[axis] for kernel in shape.kernels])
        for axis in range(axes)
    )


def _along_axis(shape: UNetShape, strides: Sequence[int], kernels: Sequence[int]) -> int:
    widest = 0
    for position in range(prod(strides)):
        low, high = _seen_by(shape, strides, kernels, position)
        widest = max(widest, high - low + 1)
    return widest


def _seen_by(shape: UNetShape, strides: Sequence[int], kernels: Sequence[int], position: int) -> Interval:
    """Input range of one output voxel: down the decoder, and at each stage through the encoder back up."""
    bottom = shape.num_stages - 1
    interval, seen = (position, position), []
    for stage in range(bottom):
        reach = shape.decoder_depth(stage) * (kernels[stage] - 1) // 2
        interval = (interval[0] - reach, interval[1] + reach)
        seen.append(_through_encoder(shape, strides, kernels, stage, interval))
        interval = (interval[0] // strides[stage + 1], interval[1] // strides[stage + 1])
    seen.append(_through_encoder(shape, strides, kernels, bottom, interval))
    return min(low for low, _ in seen), max(high for _, high in seen)


def _through_encoder(
    shape: UNetShape, strides: Sequence[int], kernels: Sequence[int], stage: int, interval: Interval
) -> Interval:
    """Input range of a range of the feature map that ``stage`` of the encoder puts out."""
    low, high = interval
    for level in range(stage, -1, -1):
        half, step = (kernels[level] - 1) // 2, strides[level]
        convolutions = shape.encoder_depths[level] * (2 if shape.residual else 1)
        rest = (convolutions - 1) * half
        low, high = low - rest, high + rest
        pooled_end = high * step + step - 1 if shape.residual else high * step  # the way around blocks is pooled
        low, high = low * step - half, max(high * step + half, pooled_end)
    stem = (kernels[0] - 1) // 2 if shape.residual else 0
    return low - stem, high + stem
