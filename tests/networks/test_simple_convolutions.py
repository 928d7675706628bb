"""First and last convolutions of a network equal torch's."""

import pytest
import torch
from torch import nn

from nnunetv2.networks.simple_convolutions import FewChannelsConv3d, PointwiseConv3d

KINDS = {
    "few channels": (FewChannelsConv3d, lambda **k: nn.Conv3d(2, 7, 3, padding=1, **k)),
    "pointwise": (PointwiseConv3d, lambda **k: nn.Conv3d(2, 7, 1, **k)),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last_3d, torch.contiguous_format])
@torch.inference_mode()
def test_results_are_those_of_torch(name, bias, layout):
    kind, make = KINDS[name]
    plain = make(bias=bias)
    x = torch.randn(2, 2, 5, 6, 7).contiguous(memory_format=layout)
    expected = plain(x)
    assert kind.suits(plain)
    plain.__class__ = kind
    torch.testing.assert_close(plain(x), expected)
    torch.testing.assert_close(plain(x[0]), expected[0])


@torch.inference_mode()
def test_a_convolution_of_one_channel_keeps_channels_last():
    network = nn.Conv3d(1, 4, 3, padding=1)
    network.__class__ = FewChannelsConv3d
    for batch in (1, 2):
        y = network(torch.randn(batch, 1, 4, 5, 6).contiguous(memory_format=torch.channels_last_3d))
        assert y.is_contiguous(memory_format=torch.channels_last_3d) and y.stride(1) == 1


def test_gradients_are_torchs():
    network = KINDS["pointwise"][1]()
    network.__class__ = PointwiseConv3d
    network(torch.randn(1, 2, 3, 3, 3)).sum().backward()
    assert network.weight.grad is not None


def test_other_convolutions_do_not_suit():
    assert not PointwiseConv3d.suits(nn.Conv3d(2, 2, 1, stride=2))
    assert not PointwiseConv3d.suits(nn.Conv2d(2, 2, 1))
    assert not FewChannelsConv3d.suits(nn.Conv3d(2, 2, 3, padding=1, stride=2))
    assert not FewChannelsConv3d.suits(nn.Conv3d(32, 2, 3, padding=1))
