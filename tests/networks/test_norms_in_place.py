"""Norms in the memory of their input equal torch's, and no more is overwritten than may be."""

import pytest
import torch
from torch import nn

from nnunetv2.inference.engines.channels_last import fast_copy
from nnunetv2.networks import norms_in_place
from nnunetv2.networks.channels_last import InstanceNormActivation, to_channels_last
from nnunetv2.networks.norms_in_place import NormActivationInPlace
from nnunetv2.networks.simple_convolutions import FORMATS


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(2, 6, 5, 7, 9), (2, 6, 17, 19)])
@torch.inference_mode()
def test_results_are_those_of_torch(shape, affine, monkeypatch):
    monkeypatch.setattr(norms_in_place, "PIECE", 100)
    norm = (nn.InstanceNorm3d if len(shape) == 5 else nn.InstanceNorm2d)(6, affine=affine)
    plain = nn.Sequential(norm, nn.LeakyReLU(0.1))
    if affine:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    x = (torch.randn(shape) + 5).contiguous(memory_format=FORMATS[len(shape)])
    expected = plain(x)
    changed = to_channels_last(plain)
    changed[0].__class__ = NormActivationInPlace
    y = changed(x)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-5)
    assert y.data_ptr() == x.data_ptr()


def test_only_norms_right_after_a_convolution_overwrite_their_input():
    shared = nn.InstanceNorm3d(4)
    network = nn.ModuleList(
        [
            nn.Sequential(nn.Conv3d(4, 4, 1), nn.InstanceNorm3d(4)),
            nn.Sequential(nn.Identity(), nn.InstanceNorm3d(4)),
            nn.Sequential(nn.Conv3d(4, 4, 1), shared),
            nn.Sequential(shared),
            nn.InstanceNorm3d(4),
        ]
    )
    norms = [m for m in fast_copy(network).modules() if isinstance(m, InstanceNormActivation)]
    assert [isinstance(norm, NormActivationInPlace) for norm in norms] == [True, False, False, False]
