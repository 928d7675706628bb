"""Winograd's convolutions equal direct ones, whatever the shape."""

import pytest
import torch
from torch import nn

from nnunetv2.networks import winograd
from nnunetv2.networks.winograd import WinogradConv3d, outputs_per_block, strip_height, transforms


def convolution(inputs: int, outputs: int, **kwargs) -> nn.Conv3d:
    return nn.Conv3d(inputs, outputs, 3, **{"padding": 1, **kwargs}).requires_grad_(False)


def converted(plain: nn.Conv3d) -> nn.Conv3d:
    assert WinogradConv3d.suits(plain)
    plain.__class__ = WinogradConv3d
    return plain


def channels_last(*shape: int) -> torch.Tensor:
    return torch.randn(shape).contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("m", [2, 4, 6])
def test_transforms_give_three_products_for_every_output(m):
    matrices = transforms(m)
    inputs, kernel = torch.randn(m + 2, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    found = matrices.outputs @ ((matrices.kernel @ kernel) * (matrices.inputs @ inputs))
    assert torch.allclose(found, inputs.unfold(0, 3, 1) @ kernel, atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 16, 12, 32, 32), (2, 20, 13, 19, 41), (1, 48, 7, 32, 33), (1, 17, 4, 64, 64)])
@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_results_equal_a_direct_convolution_to_a_few_roundings(shape, bias, monkeypatch):
    monkeypatch.setattr(winograd, "STRIP_BYTES", 2**15)  # several strips, the last of them lower
    plain = convolution(shape[1], 24, bias=bias)
    x = channels_last(*shape)
    exact = nn.functional.conv3d(
        x.double(), plain.weight.double(), None if not bias else plain.bias.double(), padding=1
    )
    direct = (plain(x) - exact).abs().max()
    y = converted(plain)(x)
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    assert (y - exact).abs().max() < max(20 * direct, 2e-5)


@torch.inference_mode()
def test_parts_that_would_be_joined_give_the_same():
    network = converted(convolution(40, 16))
    parts = [channels_last(2, 16, 8, 32, 32), channels_last(2, 24, 8, 32, 32)]
    torch.testing.assert_close(network.forward_joined(parts), network(torch.cat(parts, 1)), atol=5e-5, rtol=1e-5)


@torch.inference_mode()
def test_the_number_of_threads_does_not_change_a_bit():
    network, x = converted(convolution(16, 16)), channels_last(1, 16, 24, 48, 48)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(network(x))
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(result, results[0]) for result in results)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_new_weights_are_noticed(mode):
    with mode():
        plain, other = convolution(16, 16), convolution(16, 16)
        x = channels_last(1, 16, 8, 32, 32)
        network = converted(plain)
        network(x)
        network.load_state_dict(other.state_dict())
        torch.testing.assert_close(network(x), other(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("x", "grad"),
    [
        (torch.randn(1, 16, 8, 32, 32), False),  # other layout
        (channels_last(1, 16, 8, 4, 4), False),  # little work
        (channels_last(1, 16, 2, 64, 64), False),  # few slices
        (torch.randn(16, 8, 32, 32), False),  # no batch
        (channels_last(1, 16, 8, 32, 32), True),
    ],
)
def test_cases_that_do_not_gain_are_left_to_torch(x, grad, monkeypatch):
    plain = convolution(16, 16)
    with torch.set_grad_enabled(grad):
        expected = plain(x)
        monkeypatch.setattr(winograd, "convolve", None)
        assert torch.equal(converted(plain)(x), expected)


@pytest.mark.parametrize(
    "changes",
    [{"stride": 2}, {"dilation": 2}, {"padding": 0}, {"groups": 2}, {"padding_mode": "reflect"}],
)
def test_other_convolutions_do_not_suit(changes):
    assert not WinogradConv3d.suits(convolution(16, 16, **changes))
    assert not WinogradConv3d.suits(convolution(4, 16))
    assert not WinogradConv3d.suits(nn.Conv2d(16, 16, 3, padding=1))


def test_blocks_are_chosen_for_the_fewest_convolutions():
    assert [outputs_per_block(depth) for depth in (96, 48, 20, 8, 6)] == [6, 6, 4, 4, 6]


@pytest.mark.parametrize(("height", "rows"), [(128, 32), (130, 33), (16, 16), (1, 1)])
def test_strips_are_nearly_equal_and_fit(height, rows):
    assert strip_height(height, 2**14) == rows
