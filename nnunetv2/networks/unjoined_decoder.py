"""The decoder of U-Nets, for inference on CPUs, without joining what comes from below with what comes from the side.

Joined features are the largest array of a network, written and read for one convolution. ``WinogradConv3d`` takes the
two parts as they are.
"""

from __future__ import annotations

import torch
from dynamic_network_architectures.building_blocks.simple_conv_blocks import ConvDropoutNormReLU, StackedConvBlocks
from dynamic_network_architectures.building_blocks.unet_decoder import UNetDecoder
from torch import nn

from nnunetv2.networks.winograd import WinogradConv3d, is_worth_it


class UnjoinedDecoder(UNetDecoder):
    """A UNetDecoder; the same values to rounding."""

    @staticmethod
    def suits(decoder: nn.Module) -> bool:
        """Whether a module can become one of these."""
        return type(decoder) is UNetDecoder

    def forward(self, skips: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        if self.deep_supervision:
            return super().forward(skips)
        x = skips[-1]
        for number, stage in enumerate(self.stages):
            x = _run(stage, self.transpconvs[number](x), skips[-number - 2])
        return self.seg_layers[-1](x)


def _run(stage: nn.Module, below: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
    """What ``stage`` makes of both, joined along channels."""
    blocks = list(stage.convs) if type(stage) is StackedConvBlocks else [None]
    first = blocks[0].all_modules[0] if type(blocks[0]) is ConvDropoutNormReLU else None
    if not (isinstance(first, WinogradConv3d) and is_worth_it(below) and is_worth_it(side)):
        return stage(torch.cat((below, side), 1))
    x = first.forward_joined([below, side])
    del below
    for module in [*blocks[0].all_modules[1:], *blocks[1:]]:
        x = module(x)
    return x
