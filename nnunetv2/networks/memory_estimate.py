"""How much memory a U-Net needs for a training step and for predicting a tile, by counting tensors.

What is counted: parameters, gradients and momentum; the feature maps that the backward pass needs (of every
convolution with normalization and activation: what the convolution puts out, and what the activation puts out); the
concatenations of the decoder; outputs and loss of every resolution; the largest tensors that exist for a moment only.
What is not: the program itself and its libraries (on CUDA some hundred MiB), images and batches that wait in memory.
``benchmarks/memory_estimate.py`` compares with measured peaks.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from nnunetv2.networks.unet_shape import UNetShape

FLOAT32, FLOAT16 = 4, 2

# Copies of the parameters at the peak, when the backward pass begins: weights and momentum of SGD. Gradients come up
# while feature maps go; only where parameters outweigh feature maps, all three at the end of a step are more.
COPIES_AT_PEAK, COPIES_AT_END = 2, 3
# float32 arrays of the shape of the output that the loss (Dice and cross-entropy) and its gradient keep at a time.
LOSS_ARRAYS = 5


def training_bytes(
    shape: UNetShape,
    patch_size: Sequence[int],
    batch_size: int,
    input_channels: int,
    num_classes: int,
    parameters: int,
    value_bytes: int = FLOAT32,
) -> int:
    """Peak of a training step with deep supervision. ``value_bytes`` 2: mixed precision, as on CUDA."""
    voxels = [prod(size) for size in shape.sizes(patch_size)]
    kept = _kept_for_backward(shape, voxels, prod(patch_size), input_channels)
    moment = TRANSIENT_IN_TRAINING * shape.features[0] * voxels[0]
    outputs = num_classes * sum(voxels[:-1]) * LOSS_ARRAYS * FLOAT32
    in_half = parameters * value_bytes if value_bytes != FLOAT32 else 0
    at_peak = batch_size * ((kept + moment) * value_bytes + outputs) + in_half + COPIES_AT_PEAK * parameters * FLOAT32
    return max(at_peak, COPIES_AT_END * parameters * FLOAT32)


# Values in units of the feature maps at full resolution that exist for a moment at the peak of a training step:
# the gradient of the last concatenation (2), of what goes into it and of what comes out (1 each).
TRANSIENT_IN_TRAINING = 4


def _kept_for_backward(shape: UNetShape, voxels: Sequence[int], input_voxels: int, input_channels: int) -> int:
    """Values per sample that the backward pass needs."""
    total = input_channels * input_voxels
    if shape.residual:
        total += 2 * shape.features[0] * input_voxels
    for stage, (width, size, depth) in enumerate(zip(shape.features, voxels, shape.encoder_depths)):
        total += 2 * width * size * depth * (2 if shape.residual else 1)
        if shape.residual and stage > 0:
            before = shape.features[stage - 1]
            total += before * size + (width * size if before != width else 0)  # the way around: pooled, projected
        if stage < shape.num_stages - 1:
            total += 2 * width * size * (1 + shape.decoder_depth(stage))  # concatenation, convolutions
    return total


def prediction_bytes(
    shape: UNetShape,
    patch_size: Sequence[int],
    input_channels: int,
    num_classes: int,
    parameters: int,
    value_bytes: int = FLOAT32,
) -> int:
    """Peak of the network for one tile without gradients: at the last step of the decoder, or in the encoder.

    Sums over tiles come on top: classes x voxels of the image (see ``tile sums`` of nnUNetv2_plans show).
    """
    voxels = [prod(size) for size in shape.sizes(patch_size)]
    full = shape.features[0] * voxels[0]
    skips = sum(width * size for width, size in zip(shape.features[:-1], voxels[:-1]))
    below = shape.features[1] * voxels[1] if shape.num_stages > 1 else 0  # what was upsampled is still there
    # block input, convolution output, normalized output; the first block's input is the concatenation itself
    within = 2 if shape.decoder_depth(0) == 1 else 3
    decoder = skips + below + 2 * full + within * full + num_classes * voxels[0]
    encoder = input_channels * prod(patch_size) + (4 if shape.residual else 3) * full
    weights = parameters * (FLOAT32 + (value_bytes if value_bytes != FLOAT32 else 0))
    return max(decoder, encoder) * value_bytes + weights
