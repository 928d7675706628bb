"""Large instance norms lose no digits in any engine."""

import pytest
import torch
from torch import nn

from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine
from nnunetv2.inference.engines.openvino_norms import block_lengths
from nnunetv2.inference.engines.torch_engine import TorchEngine

ENGINES = {
    "torch": lambda network: TorchEngine(network, [network.state_dict()], torch.device("cpu"), "f32"),
    "openvino": lambda network: OpenVINOEngine(network, [network.state_dict()], "f32"),
}


def norm_after_convolution(dims: int) -> nn.Module:
    """An instance norm of 16 channels, large mean and little variance, with affine weights."""
    convolution = (nn.Conv3d if dims == 3 else nn.Conv2d)(1, 16, 1)
    norm = (nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d)(16, affine=True)
    nn.init.constant_(convolution.bias, 3.0)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return nn.Sequential(convolution, norm).eval()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("patch", [(64, 96, 80), (768, 640)], ids=["3d", "2d"])
def test_statistics_of_many_voxels_lose_no_digits(name, patch):
    network = norm_after_convolution(len(patch))
    tiles = torch.randn(1, 1, *patch)
    logits = ENGINES[name](network).predict(0, tiles)
    with torch.inference_mode():
        plain, exact = network(tiles), network.double()(tiles.double())
    error, allowed = ((found - exact).abs().max() for found in (logits, plain))
    assert error < 10 * allowed  # 26 times without the blocks


def test_blocks_divide_every_axis():
    assert block_lengths((96, 14, 17)) == [8, 7, 1]
    assert block_lengths((512, 320)) == [32, 32]
