"""torch.compile is tried once before training relies on it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnunetv2.training import network_wrapping
from nnunetv2.training.network_wrapping import compile_if, is_compiled, try_one_step

CPU = torch.device("cpu")


class Wrapper(nn.Module):
    """Stands in for what torch.compile gives."""

    def __init__(self, network, error=None):
        super().__init__()
        self._orig_mod, self.error = network, error

    def forward(self, x):
        if self.error:
            raise self.error
        return self._orig_mod(x)


def network():
    return nn.Sequential(nn.Conv3d(1, 2, 1), nn.BatchNorm3d(2), nn.Dropout(0.5))


def trial(compiled):
    try_one_step(compiled, (2, 1, 4, 4, 4), CPU, None)


@pytest.mark.parametrize("error", [RuntimeError("no compiler\nlong text"), NotImplementedError("no compiler")])
def test_when_the_trial_fails_the_network_itself_is_trained(error, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda module: Wrapper(module, error))
    own = network()
    chosen, note = compile_if(True, own, CPU, trial)
    assert chosen is own
    assert not is_compiled(chosen)
    assert note.startswith("WARNING: training without torch.compile") and note.endswith("no compiler")


def test_when_the_trial_succeeds_the_compiled_network_is_trained(monkeypatch):
    monkeypatch.setattr(torch, "compile", Wrapper)
    chosen, note = compile_if(True, network(), CPU, trial)
    assert is_compiled(chosen)
    assert note == "Using torch.compile..."


def test_a_trial_leaves_weights_buffers_gradients_and_generators_as_they_were():
    own = network().train()
    before = {name: value.clone() for name, value in own.state_dict().items()}
    generator = torch.get_rng_state()
    trial(own)
    assert all(torch.equal(before[name], value) for name, value in own.state_dict().items())
    assert all(parameter.grad is None for parameter in own.parameters())
    assert torch.equal(generator, torch.get_rng_state())


def test_nothing_is_tried_that_is_not_wanted():
    own = network()
    assert network_wrapping.compile_if(False, own, CPU, trial)[0] is own
