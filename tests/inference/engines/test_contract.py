"""Every engine gives the logits of the network with the weights of the fold it is asked for."""

import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.inference.engines import contract
from nnunetv2.inference.engines.contract import resolve_precision, tiles_per_batch
from nnunetv2.inference.engines.openvino_engine import OpenVINOEngine
from nnunetv2.inference.engines.torch_engine import TorchEngine
from tests.inference.engines.conftest import expected, small_unet, states

CPU = torch.device("cpu")
ENGINES = {
    "torch": lambda network, folds: TorchEngine(network, folds, CPU, "f32"),
    "openvino": lambda network, folds: OpenVINOEngine(network, folds, "f32"),
}


@pytest.mark.parametrize("name", ENGINES)
def test_logits_are_those_of_the_network_for_every_fold_and_batch(name, dims):
    network, folds = small_unet(dims), states(2, dims=dims)
    engine = ENGINES[name](network, folds)
    for fold, count in ((0, 1), (1, 1), (0, 3), (1, 2)):
        tiles = torch.randn(count, 2, *(16, 24, 32)[-dims:])
        logits = engine.predict(fold, tiles)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, expected(small_unet(dims), folds[fold], tiles), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ENGINES)
def test_logits_stay_as_they_are_when_the_next_tile_is_predicted(name):
    engine = ENGINES[name](small_unet(), states(1))
    first = engine.predict(0, torch.randn(1, 2, 16, 16, 16))
    before = first.clone()
    engine.predict(0, torch.randn(1, 2, 16, 16, 16))
    assert torch.equal(first, before)


@pytest.mark.parametrize("name", ENGINES)
def test_the_network_of_the_user_is_not_changed(name):
    network = small_unet(seed=5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    ENGINES[name](network, states(1)).predict(0, torch.randn(1, 2, 16, 16, 16))
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert {type(m).__name__ for m in network.modules()} >= {"InstanceNorm3d"}


def test_small_tiles_are_batched_and_large_ones_are_not():
    assert tiles_per_batch((96, 128, 128)) == 1
    assert tiles_per_batch((40, 56, 40)) == 8
    assert tiles_per_batch((256, 256)) == 16
    assert tiles_per_batch((4096, 4096)) == 1
    assert tiles_per_batch((8, 8), 0) == 1


@pytest.mark.parametrize(
    ("requested", "device", "resolved"),
    [(None, "cpu", "f32"), (None, "cuda", "fp16"), (None, "mps", "f32"), ("f32", "cuda", "f32"), ("f32", "mps", "f32")],
)
def test_precision_defaults_to_that_of_the_device(requested, device, resolved):
    assert resolve_precision(requested, torch.device(device)) == resolved


@pytest.mark.parametrize(
    ("requested", "device", "message"),
    [("fp16", "cpu", "Use --precision f32 or bf16"), ("bf16", "mps", "Use --precision f32"), ("int8", "cpu", "one of")],
)
def test_a_precision_the_device_does_not_have_is_refused(requested, device, message):
    with pytest.raises(UsageError, match=message):
        resolve_precision(requested, torch.device(device))


@pytest.mark.parametrize(("faster", "resolved"), [(True, "bf16"), (False, "f32")])
def test_bf16_on_a_cpu_is_a_permission(monkeypatch, faster, resolved):
    monkeypatch.setattr(contract, "this_cpu_prefers_bf16", lambda: faster)
    assert resolve_precision("bf16", CPU) == resolved


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_bf16_is_close_to_f32_and_not_equal(name):
    network, folds = small_unet(), states(1)
    make = {
        "torch": lambda p: TorchEngine(network, folds, CPU, p),
        "openvino": lambda p: OpenVINOEngine(network, folds, p),
    }
    tiles = torch.randn(1, 2, 32, 32, 32)
    exact, rounded = (make[name](precision).predict(0, tiles) for precision in ("f32", "bf16"))
    difference = (exact - rounded).abs().mean() / exact.abs().mean()
    assert difference < 0.02
    if torch.backends.mkldnn.is_available() and name == "torch":
        assert difference > 1e-5
