import numpy as np
import openvino
import pytest
import torch
from torch import nn

from nnunetv2.inference.engines import openvino_conversion
from nnunetv2.inference.engines.contract import EngineError
from nnunetv2.inference.engines.openvino_conversion import convert, record
from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine
from tests.inference.engines.conftest import small_unet


def run(model, batch):
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(batch.numpy())[0]


class Coordinates(nn.Module):
    """Adds a ramp whose slope depends on the size of the input, computed in Python while tracing."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(1, 2, 3, padding=1)

    def forward(self, x):
        size = int(x.shape[-1])
        return self.conv(x) + torch.arange(size, dtype=torch.float32) / size


class Positions(nn.Module):
    """Fits one size of input."""

    def __init__(self, shape):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, 1, *shape))

    def forward(self, x):
        return x + self.positions


@pytest.mark.parametrize("network", [Coordinates(), Positions((16, 16, 16))], ids=["ramp", "positions"])
def test_networks_that_depend_on_the_size_are_traced_at_full_size(network):
    batch = torch.randn(1, 1, 16, 16, 16)
    with torch.no_grad():
        expected = network.eval()(batch).numpy()
        model = convert(record(network.requires_grad_(False), tuple(batch.shape)), tuple(batch.shape))
    np.testing.assert_allclose(run(model, batch), expected, atol=1e-5)


def test_a_small_input_is_enough_to_trace_a_convolutional_network(monkeypatch):
    sizes = []
    original = openvino_conversion._record
    monkeypatch.setattr(
        openvino_conversion, "_record", lambda network, shape: (sizes.append(shape[2:]), original(network, shape))[1]
    )
    record(small_unet().requires_grad_(False), (1, 2, 32, 32, 32))
    assert (32, 32, 32) not in sizes and sizes


class Foreign(nn.Module):
    def forward(self, x):
        return torch.linalg.eigvalsh(x[0, 0, 0] + x[0, 0, 0].T)


def test_what_cannot_be_converted_is_an_engine_error_with_its_reason():
    with pytest.raises(EngineError, match="converting the network to OpenVINO failed"):
        convert(record(Foreign(), (1, 1, 8, 8, 8)), (1, 1, 8, 8, 8))


def test_networks_with_hooks_are_left_to_torch():
    network = small_unet()
    network.register_forward_hook(lambda module, inputs, output: output + 1)
    with pytest.raises(EngineError, match="has hooks"):
        OpenVINOEngine(network, [network.state_dict()], "f32")
