"""How much a network keeps in memory: the number of feature map values its convolutions put out for one patch.

This is the memory estimate that planning compares with its reference values. For the two U-Nets that plans normally
name it is arithmetic; only for other networks is one built and asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from nnunetv2.errors import PlanningError
from nnunetv2.networks.resolve import resolve_imports, resolve_network_class

_UNET_MODULE = "dynamic_network_architectures.architectures.unet"
PLAIN_UNET = f"{_UNET_MODULE}.PlainConvUNet"
RESIDUAL_UNET = f"{_UNET_MODULE}.ResidualEncoderUNet"

# Arguments that change the shape of a residual encoder in ways the closed form does not cover.
_UNCOVERED_ARGUMENTS = ("block", "bottleneck_channels", "stem_channels")


def stage_voxels(patch_size: Sequence[int], strides: Sequence[Sequence[int]]) -> list[int]:
    """Voxels of the feature maps of each encoder stage: the sizes divided by every stride so far, rounded down."""
    sizes, voxels = [int(n) for n in patch_size], []
    for stride in strides:
        sizes = [n // step for n, step in zip(sizes, stride, strict=True)]
        voxels.append(prod(sizes))
    return voxels


def decoder_feature_map_size(
    features: Sequence[int], voxels: Sequence[int], convs: Sequence[int], num_classes: int
) -> int:
    """Values put out by the decoder: per step one transposed convolution and its convs, at last the output layer.

    ``features`` and ``voxels`` are per encoder stage, ``convs`` per decoder step, deepest first. A network of one
    stage has no decoder and no output layer.
    """
    skips = zip(reversed(features[:-1]), reversed(voxels[:-1]), convs)
    steps = sum((count + 1) * width * size for width, size, count in skips)
    return steps + (num_classes * voxels[0] if len(voxels) > 1 else 0)


def plain_unet_feature_map_size(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    convs: Sequence[int],
    decoder_convs: Sequence[int],
    num_classes: int,
) -> int:
    """Values put out by all convolutions of a plain U-Net for one patch.

    ``strides``, ``features`` and ``convs`` have one entry per stage, ``decoder_convs`` one less. ``patch_size`` in
    voxels. Input channels do not matter, since only outputs count.
    """
    voxels = stage_voxels(patch_size, strides)
    encoder = sum(count * width * size for count, width, size in zip(convs, features, voxels, strict=True))
    return encoder + decoder_feature_map_size(features, voxels, decoder_convs, num_classes)


def residual_unet_feature_map_size(
    patch_size: Sequence[int],
    strides: Sequence[Sequence[int]],
    features: Sequence[int],
    blocks: Sequence[int],
    decoder_convs: Sequence[int],
    num_classes: int,
) -> int:
    """Values put out by all convolutions of a U-Net with residual encoder: a stem, then blocks of two convolutions.

    The first block of a stage has a third one on its skip path wherever channels or sizes change.
    Arguments as in ``plain_unet_feature_map_size``.
    """
    voxels = stage_voxels(patch_size, strides)
    incoming = [prod(int(n) for n in patch_size), *voxels]
    encoder = features[0] * incoming[0]
    for stage, (count, width, size) in enumerate(zip(blocks, features, voxels, strict=True)):
        changes = size != incoming[stage] or (stage > 0 and width != features[stage - 1])
        encoder += (2 * count + changes) * width * size
    return encoder + decoder_feature_map_size(features, voxels, decoder_convs, num_classes)


def closed_form_feature_map_size(
    patch_size: Sequence[int], output_channels: int, class_name: str, arch_kwargs: Mapping[str, Any]
) -> int | None:
    """The estimate for ``arch_kwargs`` as written in plans, or None when the closed form does not cover the network."""
    if class_name not in (PLAIN_UNET, RESIDUAL_UNET) or any(name in arch_kwargs for name in _UNCOVERED_ARGUMENTS):
        return None
    stages, dimensions = arch_kwargs["n_stages"], len(patch_size)
    per_stage = "n_conv_per_stage" if class_name == PLAIN_UNET else "n_blocks_per_stage"
    estimate = plain_unet_feature_map_size if class_name == PLAIN_UNET else residual_unet_feature_map_size
    return estimate(
        patch_size,
        [_repeat(stride, dimensions) for stride in _repeat(arch_kwargs["strides"], stages)],
        _repeat(arch_kwargs["features_per_stage"], stages),
        _repeat(arch_kwargs[per_stage], stages),
        _repeat(arch_kwargs["n_conv_per_stage_decoder"], stages - 1),
        output_channels,
    )


def feature_map_size(
    patch_size: Sequence[int],
    input_channels: int,
    output_channels: int,
    arch_class_name: str,
    arch_kwargs: Mapping[str, Any],
    arch_kwargs_req_import: Sequence[str],
) -> int:
    """The memory estimate of any network that plans can name.

    Networks the closed form does not cover are built (on the CPU, without initialization) and asked through their
    ``compute_conv_feature_map_size``; only then is torch imported. Raises PlansError or PlanningError.
    """
    estimate = closed_form_feature_map_size(patch_size, output_channels, arch_class_name, arch_kwargs)
    if estimate is not None:
        return estimate
    network_class = resolve_network_class(arch_class_name)
    if not hasattr(network_class, "compute_conv_feature_map_size"):
        raise PlanningError(
            f"{arch_class_name} cannot tell how much memory it needs: give it a method compute_conv_feature_map_size("
            "input_size), or override static_estimate_VRAM_usage of the planner"
        )
    network = network_class(
        input_channels=input_channels,
        num_classes=output_channels,
        deep_supervision=False,
        **resolve_imports(arch_kwargs, arch_kwargs_req_import),
    )
    return int(network.compute_conv_feature_map_size(patch_size))


def _repeat(value: Any, times: int) -> list[Any]:
    """``value`` as a list with one entry per stage or axis; a single number stands for all of them."""
    return [value] * times if isinstance(value, int) else list(value)
