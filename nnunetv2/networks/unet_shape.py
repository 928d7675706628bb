"""A U-Net as numbers: what plans say about it, and how many parameters it has. No torch, no network built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from nnunetv2.networks.feature_map_size import PLAIN_UNET, RESIDUAL_UNET

# Arguments that change a residual encoder in ways these numbers do not cover.
_UNCOVERED = ("block", "bottleneck_channels", "stem_channels")
_OLDER_RESIDUAL_UNET = "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet"

Steps = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """A plain U-Net, or one with residual encoder. Tuples have one entry per stage, full resolution first."""

    residual: bool
    features: tuple[int, ...]
    kernels: Steps
    strides: Steps
    encoder_depths: tuple[int, ...]
    """Convolutions (plain) or blocks of two convolutions (residual) per stage."""
    decoder_depths: tuple[int, ...]
    """Convolutions per decoder step, deepest first; one fewer than stages."""
    bias: bool
    norm_parameters: int
    """Parameters of the normalization per feature map."""

    @property
    def num_stages(self) -> int:
        """Resolutions, the bottleneck included."""
        return len(self.features)

    def sizes(self, patch_size: Sequence[int]) -> list[tuple[int, ...]]:
        """Feature map of each stage in voxels, for one patch."""
        size, sizes = tuple(int(n) for n in patch_size), []
        for stride in self.strides:
            size = tuple(n // step for n, step in zip(size, stride, strict=True))
            sizes.append(size)
        return sizes

    def decoder_depth(self, stage: int) -> int:
        """Convolutions of the decoder at the resolution of ``stage``, which is not the bottleneck."""
        return self.decoder_depths[self.num_stages - 2 - stage]


def unet_shape(class_name: str, arch_kwargs: Mapping[str, Any], dimensions: int) -> UNetShape | None:
    """The shape that ``architecture`` of the plans describes, or None for another kind of network.

    ``dimensions`` is 2 or 3. The description must be free of errors (see plans_checks).
    """
    residual = class_name in (RESIDUAL_UNET, _OLDER_RESIDUAL_UNET)
    if not residual and class_name != PLAIN_UNET:
        return None
    norm = _norm_parameters(arch_kwargs)
    if norm is None or any(arch_kwargs.get(key) is not None for key in _UNCOVERED):
        return None
    stages = arch_kwargs["n_stages"]

    def steps(key: str) -> Steps:
        return tuple(tuple(_repeat(value, dimensions)) for value in _repeat(arch_kwargs[key], stages))

    depth_key = "n_blocks_per_stage" if residual else "n_conv_per_stage"
    return UNetShape(
        residual=residual,
        features=tuple(_repeat(arch_kwargs["features_per_stage"], stages)),
        kernels=steps("kernel_sizes"),
        strides=steps("strides"),
        encoder_depths=tuple(_repeat(arch_kwargs[depth_key], stages)),
        decoder_depths=tuple(_repeat(arch_kwargs["n_conv_per_stage_decoder"], stages - 1)),
        bias=bool(arch_kwargs.get("conv_bias", False)),
        norm_parameters=norm,
    )


def _norm_parameters(arch_kwargs: Mapping[str, Any]) -> int | None:
    """Scale and shift per feature map, or none; None for a normalization that is not known here."""
    name = arch_kwargs.get("norm_op")
    if name is None:
        return 0
    last = name.rpartition(".")[2]
    affine_by_default = {"InstanceNorm": False, "BatchNorm": True}.get(last[:-2])
    if affine_by_default is None:
        return None
    return 2 if (arch_kwargs.get("norm_op_kwargs") or {}).get("affine", affine_by_default) else 0


def _repeat(value: Any, times: int) -> list[Any]:
    return [value] * times if isinstance(value, int) else list(value)


def count_parameters(shape: UNetShape, input_channels: int, num_classes: int) -> int:
    """Trainable parameters, the output layers of deep supervision included, which are always there."""
    total, incoming = 0, input_channels
    if shape.residual:
        total += _block(shape, input_channels, shape.features[0], shape.kernels[0])
        incoming = shape.features[0]
    for stage, (width, kernel, depth) in enumerate(zip(shape.features, shape.kernels, shape.encoder_depths)):
        for _ in range(depth):
            total += _block(shape, incoming, width, kernel)
            if shape.residual:
                total += _block(shape, width, width, kernel)
                if incoming != width:  # a convolution of 1 without bias on the way around
                    total += incoming * width + shape.norm_parameters * width
            incoming = width
        if stage < shape.num_stages - 1:
            total += _decoder_step(shape, stage, num_classes)
    return total


def _block(shape: UNetShape, incoming: int, width: int, kernel: Sequence[int]) -> int:
    """A convolution and its normalization."""
    return incoming * width * prod(kernel) + (shape.bias + shape.norm_parameters) * width


def _decoder_step(shape: UNetShape, stage: int, num_classes: int) -> int:
    """Upsampling to the resolution of ``stage``, convolutions there, output layer."""
    width, below = shape.features[stage], shape.features[stage + 1]
    upsampling = below * width * prod(shape.strides[stage + 1]) + shape.bias * width
    convolutions = _block(shape, 2 * width, width, shape.kernels[stage])
    convolutions += (shape.decoder_depth(stage) - 1) * _block(shape, width, width, shape.kernels[stage])
    return upsampling + convolutions + width * num_classes + num_classes
