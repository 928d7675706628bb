"""A trainer that replaces the normalization layers of the planned network by batch normalization."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from nnunetv2.errors import PlansError
from nnunetv2.networks.build import parse_build_arguments
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.signature_compat import default_network


def with_batch_norm(arch_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of the network's arguments with batch normalization of as many dimensions as its convolutions have.

    Raises PlansError when ``conv_op`` does not name a convolution of torch.
    """
    conv_op = arch_kwargs.get("conv_op")
    name = conv_op if isinstance(conv_op, str) else getattr(conv_op, "__name__", "")
    match = re.search(r"Conv([123])d$", name)
    if match is None:
        raise PlansError(
            f"architecture.arch_kwargs.conv_op is {conv_op!r}; nnUNetTrainerBN needs one of torch.nn.Conv1d, Conv2d "
            "and Conv3d there, to choose the batch normalization"
        )
    return {
        **arch_kwargs,
        "norm_op": f"torch.nn.modules.batchnorm.BatchNorm{match.group(1)}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    }


def batch_norm_network(*args: Any, **kwargs: Any) -> nn.Module:
    """The network of the default trainer, with batch normalization; called like it, in the same three forms."""
    class_name, arch_kwargs, to_import, inputs, outputs, deep_supervision = parse_build_arguments(*args, **kwargs)
    names = list({*to_import, "norm_op"})
    return default_network(class_name, with_batch_norm(arch_kwargs), names, inputs, outputs, deep_supervision)


batch_norm_network.__signature__ = inspect.signature(default_network)  # type: ignore[attr-defined]


class nnUNetTrainerBN(nnUNetTrainer):
    """Batch normalization, whatever the plans say. They stay as they are: the trainer's name tells the difference."""

    build_network_architecture = staticmethod(batch_norm_network)
