"""Weights of a fold in a network that was converted once give what the fold's own conversion gives."""

import numpy as np
import openvino
import pytest
import torch
from torch import nn

from nnunetv2.inference.engines import openvino_engine
from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine
from nnunetv2.inference.engines.openvino_weights import converted, filled, template
from tests.inference.engines.conftest import small_unet

SHAPE = (1, 2, 32, 32, 32)


def run(model, batch):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(batch.numpy())[0]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_filled_template_equals_a_conversion_in_every_bit(dims):
    shape = SHAPE[: dims + 2]
    batch = torch.randn(shape)
    empty = template(small_unet(dims).requires_grad_(False), shape, "f32")
    results = []
    for seed in (1, 2):
        network = small_unet(dims, seed=seed).requires_grad_(False)
        results.append(run(filled(empty, network), batch))
        assert np.array_equal(results[-1], run(converted(network, shape, "f32"), batch))
    assert np.abs(results[0] - results[1]).max() > 0.01


class Factor(nn.Module):
    """Its weights bring a number along that is no tensor."""

    def __init__(self):
        super().__init__()
        self.conv, self.factor = nn.Conv3d(2, 2, 3, padding=1), 1.0

    def get_extra_state(self):
        return self.factor

    def set_extra_state(self, state):
        self.factor = state

    def forward(self, x):
        return self.conv(x) * self.factor


class Normalized(nn.Module):
    """Its convolution's weights are computed from parameters, which the converter does once for all."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(2, 2, 3, padding=1)

    def forward(self, x):
        weight = self.conv.weight / self.conv.weight.std()
        return nn.functional.conv3d(x, weight, self.conv.bias, padding=1)


class Gain(nn.Module):
    """One number that the converter multiplies with another."""

    def __init__(self):
        super().__init__()
        self.conv, self.gain = nn.Conv3d(2, 2, 3, padding=1), nn.Parameter(torch.ones(1))

    def forward(self, x):
        return self.conv(x) * (self.gain * 2)


class Batched(nn.Module):
    """Statistics in buffers, which may end up in the weights of the convolution."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv3d(2, 4, 3, padding=1), nn.BatchNorm3d(4)
        self.norm.running_mean.normal_()
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.norm(self.conv(x))


def test_a_network_whose_weights_bring_more_than_tensors_has_no_template():
    assert template(Factor().eval().requires_grad_(False), SHAPE, "f32") is None


@pytest.mark.parametrize("kind", [Factor, Normalized, Gain, Batched])
def test_folds_of_any_network_are_predicted_with_their_own_weights(kind):
    networks = [kind().eval().requires_grad_(False) for _ in range(3)]
    if kind is Factor:
        networks[2].factor = 3.0
    if kind is Gain:
        networks[2].gain.fill_(3)
    engine = OpenVINOEngine(kind().eval(), [network.state_dict() for network in networks], "f32")
    tile = torch.randn(SHAPE)
    for fold, network in enumerate(networks):
        torch.testing.assert_close(engine.predict(fold, tile), network(tile), atol=1e-4, rtol=1e-4)


def test_of_several_folds_one_is_converted(monkeypatch):
    calls = []
    for name in ("template", "converted"):
        original = getattr(openvino_engine, name)
        monkeypatch.setattr(openvino_engine, name, lambda *args, n=name, f=original: (calls.append(n), f(*args))[1])
    engine = OpenVINOEngine(small_unet(), [small_unet(seed=seed).state_dict() for seed in range(3)], "f32")
    tile = torch.randn(SHAPE)
    logits = [engine.predict(fold, tile) for fold in (0, 1, 2, 0)]
    assert calls == ["template"]
    assert torch.equal(logits[0], logits[3]) and not torch.equal(logits[0], logits[1])
