"""The ``architecture`` entry of a configuration: a U-Net described by names and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.patch_and_batch import Topology

# Arguments whose values are dotted names that have to be imported before the network is built.
ARGUMENTS_TO_IMPORT = ("conv_op", "norm_op", "dropout_op", "nonlin")


def features_per_stage(num_stages: int, first: int, most: int) -> list[int]:
    """Channels per stage: doubled from stage to stage, ``most`` at most."""
    return [min(first * 2**stage, most) for stage in range(num_stages)]


def unet_architecture(
    class_name: str,
    topology: Topology,
    features: Sequence[int],
    encoder_key: str,
    encoder_depths: Sequence[int],
    decoder_depths: Sequence[int],
) -> dict[str, Any]:
    """Description of a U-Net with instance norm and leaky ReLU, as plans hold it; the key order is part of the format.

    ``encoder_depths`` (convolutions or blocks, written under ``encoder_key``) and ``decoder_depths`` may be longer
    than the network is deep; their first entries are used.
    """
    stages, dimensions = topology.num_stages, len(topology.patch_size)
    arch_kwargs: dict[str, Any] = {
        "n_stages": stages,
        "features_per_stage": list(features),
        "conv_op": f"torch.nn.modules.conv.Conv{dimensions}d",
        "kernel_sizes": [list(kernel) for kernel in topology.kernel_sizes],
        "strides": [list(stride) for stride in topology.strides],
        encoder_key: list(encoder_depths[:stages]),
        "n_conv_per_stage_decoder": list(decoder_depths[: stages - 1]),
        "conv_bias": True,
        "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dimensions}d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    return {
        "network_class_name": class_name,
        "arch_kwargs": arch_kwargs,
        "_kw_requires_import": list(ARGUMENTS_TO_IMPORT),
    }
