"""Channels-last networks: same names, same values, same gradients; the norm keeps the layout."""

from __future__ import annotations

import copy

import pytest
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet
from torch import nn
from torch.nn import functional

from nnunetv2.networks import channels_last
from nnunetv2.networks.channels_last import InstanceNormActivation, to_channels_last

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def unet(cls=PlainConvUNet, dimensions: int = 3, norm: type | None = None) -> nn.Module:
    torch.manual_seed(0)
    kind = {2: (nn.Conv2d, nn.InstanceNorm2d), 3: (nn.Conv3d, nn.InstanceNorm3d)}[dimensions]
    counts = [[1, 2], [2]] if cls is PlainConvUNet else [[1, 2], [1]]
    network = cls(
        1, 2, [6, 8], kind[0], 3, [1, 2], counts[0], 3, counts[1], True, norm or kind[1], {"eps": 1e-5, "affine": True},
        None, None, nn.LeakyReLU, {"inplace": True}, deep_supervision=True,
    )  # fmt: skip
    network.apply(network.initialize)
    return network


@pytest.mark.parametrize("pieces", [2**15, 37])
@pytest.mark.parametrize("slope", [None, 0.01])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(2, 6, 5, 7, 4), (1, 3, 9, 8)])
def test_norm_and_activation_equal_torch_in_double_precision(shape, affine, slope, pieces, monkeypatch):
    monkeypatch.setattr(channels_last, "PIECE", pieces)
    torch.manual_seed(1)
    kind = nn.InstanceNorm3d if len(shape) == 5 else nn.InstanceNorm2d
    norm = kind(shape[1], affine=affine)
    if affine:
        norm.weight.data.uniform_(-1, 2)
        norm.bias.data.normal_()
    own = InstanceNormActivation(norm)
    own.negative_slope = slope
    x = (torch.randn(shape) * 3 + 50).contiguous(memory_format=FORMATS[len(shape)]).requires_grad_()
    gradient = torch.randn(shape)
    exact = copy.deepcopy(norm).double()
    exact_x = x.detach().double().requires_grad_()
    expected = exact(exact_x) if slope is None else functional.leaky_relu(exact(exact_x), slope)
    found = own(x)
    assert found.is_contiguous(memory_format=FORMATS[len(shape)])
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=2e-5)
    expected.backward(gradient.double())
    found.backward(gradient)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(own.parameters(), exact.parameters()):
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-4)


def test_bfloat16_comes_out_as_bfloat16_with_statistics_in_float32():
    norm = InstanceNormActivation(nn.InstanceNorm3d(4, affine=True))
    x = (torch.randn(2, 4, 6, 6, 6) + 20).bfloat16().contiguous(memory_format=torch.channels_last_3d).requires_grad_()
    found = norm(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), functional.instance_norm(x.float()), rtol=1e-2, atol=1e-2)
    found.sum().backward()
    assert x.grad.dtype == torch.bfloat16


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("cls", [PlainConvUNet, ResidualEncoderUNet])
def test_a_network_keeps_names_outputs_and_gradients(cls, dimensions):
    plain = unet(cls, dimensions)
    changed = to_channels_last(copy.deepcopy(plain))
    assert list(changed.state_dict()) == list(plain.state_dict())
    assert [p.shape for p in changed.parameters()] == [p.shape for p in plain.parameters()]
    x = torch.randn(2, 1, *[8] * dimensions)
    for network in (plain, changed):
        sum(output.square().mean() for output in network(x)).backward()
    torch.testing.assert_close(changed(x), plain(x), rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(changed.parameters(), plain.parameters()):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-4)


def test_every_instance_norm_of_a_plain_network_takes_its_activation_along():
    network = to_channels_last(unet())
    norms = [module for module in network.modules() if isinstance(module, InstanceNormActivation)]
    assert len(norms) == 5
    assert {norm.negative_slope for norm in norms} == {0.01}
    assert not any(isinstance(module, (nn.LeakyReLU, nn.InstanceNorm3d)) for s in network.modules()
                   if isinstance(s, nn.Sequential) for module in s)  # fmt: skip


def test_other_norms_are_left_alone():
    network = to_channels_last(unet(norm=nn.BatchNorm3d))
    assert not any(isinstance(module, InstanceNormActivation) for module in network.modules())


def test_other_layouts_give_torchs_values():
    norm = InstanceNormActivation(nn.InstanceNorm3d(4))
    norm.negative_slope = 0.1
    x = torch.randn(2, 4, 5, 6, 7)
    torch.testing.assert_close(norm(x), functional.leaky_relu(functional.instance_norm(x), 0.1))
