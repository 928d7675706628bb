"""One optimisation step: clipping, scaling, what goes to the device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnunetv2.training import optimization

CPU = torch.device("cpu")


def linear(weight: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, weight)
    return layer


@pytest.mark.parametrize(("slope", "change"), [(5.0, 5.0), (1000.0, 12.0)])
def test_the_gradient_norm_is_limited_to_twelve(slope, change):
    network = linear(100.0)
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    loss = network(torch.tensor([[slope]])).sum()
    norm = optimization.backward(loss, network, optimizer)
    optimization.advance(optimizer)
    assert norm.item() == pytest.approx(slope)
    assert network.weight.item() == pytest.approx(100.0 - change, rel=1e-5)


class Scaler:
    """Multiplies the loss by 8 and notes the order of calls."""

    def __init__(self):
        self.calls = []

    def scale(self, loss):
        self.calls.append("scale")
        return loss * 8

    def unscale_(self, optimizer):
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= 8

    def step(self, optimizer):
        self.calls.append("step")
        optimizer.step()

    def update(self):
        self.calls.append("update")


def test_scaled_gradients_are_unscaled_before_they_are_clipped():
    network, scaler = linear(100.0), Scaler()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    optimization.backward(network(torch.tensor([[5.0]])).sum(), network, optimizer, scaler)
    optimization.advance(optimizer, scaler)
    assert scaler.calls == ["scale", "unscale", "step", "update"]
    assert network.weight.item() == pytest.approx(95.0)


def test_only_cuda_has_a_scaler_and_half_precision():
    assert optimization.make_grad_scaler(CPU) is None
    assert optimization.make_grad_scaler(torch.device("cuda")) is not None
    with optimization.autocast(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_all_targets_of_a_batch_are_moved():
    batch = {"data": torch.zeros(1), "target": [torch.ones(1), torch.ones(2)], "keys": ["a"]}
    data, target = optimization.batch_on_device(batch, torch.device("meta"))
    assert {t.device.type for t in (data, *target)} == {"meta"}
    assert optimization.highest_resolution(target) is target[0]
    assert optimization.highest_resolution(data) is data
