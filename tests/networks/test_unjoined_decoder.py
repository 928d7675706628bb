"""A decoder without joined arrays gives the values of the usual one."""

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from torch import nn

from nnunetv2.inference.engines.channels_last import fast_copy
from nnunetv2.networks.unjoined_decoder import UnjoinedDecoder


def unet(deep_supervision: bool = False) -> nn.Module:
    return PlainConvUNet(
        *(1, 2, [16, 24], nn.Conv3d, 3, [1, 2], 1, 3, 1, True, nn.InstanceNorm3d, {"affine": True}, None, None),
        *(nn.LeakyReLU, {"inplace": True}, deep_supervision),
    ).eval()  # fmt: skip


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last_3d).copy_(x)


@pytest.mark.parametrize("patch", [(8, 32, 32), (8, 8, 8)])
@torch.inference_mode()
def test_values_are_those_of_the_network(patch, monkeypatch):
    network = unet()
    changed = fast_copy(network)
    assert isinstance(changed.decoder, UnjoinedDecoder)
    x = torch.randn(2, 1, *patch)
    expected, joined, cat = network(x), [], torch.cat
    monkeypatch.setattr(torch, "cat", lambda arrays, axis=0: joined.append((arrays[0].ndim, axis)) or cat(arrays, axis))
    torch.testing.assert_close(changed(channels_last(x)), expected, atol=1e-4, rtol=1e-4)
    assert ((5, 1) in joined) == (patch == (8, 8, 8))  # too small to gain


@torch.inference_mode()
def test_outputs_of_deep_supervision_stay():
    network, x = unet(deep_supervision=True), torch.randn(1, 1, 8, 32, 32)
    for found, expected in zip(fast_copy(network)(channels_last(x)), network(x), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
