"""Small networks of the kind plans describe, and states of several folds."""

from __future__ import annotations

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn


def small_unet(dims: int = 3, channels: int = 2, heads: int = 3, seed: int = 0) -> nn.Module:
    """Two stages; patches must be divisible by 2."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PlainConvUNet(
            input_channels=channels,
            n_stages=2,
            features_per_stage=[8, 16],
            conv_op=nn.Conv3d if dims == 3 else nn.Conv2d,
            kernel_sizes=3,
            strides=[1, 2],
            n_conv_per_stage=1,
            num_classes=heads,
            n_conv_per_stage_decoder=1,
            conv_bias=True,
            norm_op=nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d,
            norm_op_kwargs={"eps": 1e-5, "affine": True},
            nonlin=nn.LeakyReLU,
            nonlin_kwargs={"inplace": True},
        )
        for parameter in network.parameters():  # affine norms that do something
            parameter.data += 0.05 * torch.randn_like(parameter)
    return network.eval()


def states(count: int, **kwargs) -> list[dict[str, torch.Tensor]]:
    """Weights of ``count`` folds."""
    return [small_unet(seed=seed, **kwargs).state_dict() for seed in range(count)]


def expected(network: nn.Module, weights: dict, tiles: torch.Tensor) -> torch.Tensor:
    """Logits of the network itself, tile by tile."""
    network.load_state_dict(weights)
    with torch.inference_mode():
        return torch.cat([network(tile[None]) for tile in tiles])


@pytest.fixture(params=[2, 3], ids=["2d", "3d"])
def dims(request) -> int:
    return request.param
