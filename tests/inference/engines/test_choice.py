import logging
import threading

import pytest
import torch
from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.inference.engines import choice, openvino_engine
from nnunetv2.inference.engines.choice import check_engine_name, make_engine
from tests.inference.engines.conftest import small_unet, states

CPU = torch.device("cpu")
SHAPE = (1, 2, 16, 16, 16)


def made(caplog, requested="auto", network=None, device=CPU):
    caplog.set_level(logging.INFO)
    engine = make_engine(requested, None, network or small_unet(), states(1), device, SHAPE)
    return engine, [r for r in caplog.records if r.levelno >= logging.INFO and "nnunetv2" in r.name]


def test_openvino_is_chosen_on_the_cpu_and_said_in_one_line(caplog):
    engine, records = made(caplog)
    assert engine.name == "openvino"
    assert [record.getMessage() for record in records] == [
        "Engine: openvino, f32 (installed, device cpu, network converted)"
    ]


def test_torch_can_be_asked_for(caplog):
    engine, records = made(caplog, "torch")
    assert engine.name == "torch"
    assert [record.getMessage() for record in records] == ["Engine: torch, f32 (asked for)"]


def test_without_openvino_it_is_torch(caplog, monkeypatch):
    monkeypatch.setattr(openvino_engine, "installed", lambda: False)
    engine, records = made(caplog)
    assert engine.name == "torch" and "openvino is not installed" in records[0].getMessage()
    with pytest.raises(UsageError, match="pip install"):
        check_engine_name("openvino", CPU)


def test_large_3d_networks_run_in_torch_which_is_faster_there(caplog, monkeypatch):
    monkeypatch.setattr(choice, "WINOGRAD_VOXELS", 16**3)
    network = nn.Sequential(nn.Conv3d(2, 16, 3, padding=1), nn.Conv3d(16, 16, 3, padding=1)).eval()
    caplog.set_level(logging.INFO)

    def engine(requested, shape=SHAPE):
        return make_engine(requested, None, network, [network.state_dict()], CPU, shape).name

    assert (engine("auto"), engine("openvino")) == ("torch", "openvino")
    assert "Engine: torch, f32 (faster for 3 x 3 x 3 convolutions)" in caplog.text
    assert engine("auto", (1, 2, 8, 16, 16)) == "openvino"  # a small patch
    assert make_engine("auto", None, small_unet(), states(1), CPU, SHAPE).name == "openvino"  # few channels


class Foreign(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(2, 3, 1)

    def forward(self, x):
        return self.conv(x) * torch.linalg.eigvalsh(x[0, 0, 0] + x[0, 0, 0].T).sum()


def test_a_network_that_does_not_convert_costs_one_warning(caplog):
    network = Foreign().eval()
    caplog.set_level(logging.INFO)
    engine = make_engine("auto", None, network, [network.state_dict()], CPU, SHAPE)
    warnings = [r for r in caplog.records if r.levelno == logging.WARNING and "nnunetv2" in r.name]
    assert (
        engine.name == "torch" and len(warnings) == 1 and "torch engine runs this network" in warnings[0].getMessage()
    )
    tile = torch.randn(SHAPE)
    with torch.inference_mode():
        torch.testing.assert_close(engine.predict(0, tile), network(tile), atol=1e-4, rtol=1e-4)


def test_a_network_that_cannot_be_copied_runs_in_torch(caplog):
    network = nn.Sequential(nn.Conv3d(2, 3, 1)).eval()
    network.lock = threading.Lock()
    engine = make_engine("auto", None, network, [network.state_dict()], CPU, SHAPE)
    assert engine.name == "torch"
    assert "cannot be copied" in caplog.text
    tile = torch.randn(SHAPE)
    with torch.inference_mode():
        torch.testing.assert_close(engine.predict(0, tile), network(tile))


@pytest.mark.parametrize(
    ("name", "device", "message"), [("tensorrt", "cpu", "one of"), ("openvino", "cuda", "-device cpu")]
)
def test_engines_that_are_unknown_or_for_another_device_are_refused(name, device, message):
    with pytest.raises(UsageError, match=message):
        check_engine_name(name, torch.device(device))


def test_on_cuda_it_is_torch(monkeypatch):
    network = small_unet()
    assert make_engine("auto", None, network, states(1), torch.device("cuda"), SHAPE).name == "torch"
