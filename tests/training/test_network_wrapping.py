"""When networks are compiled, and what lies inside wrapped ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.training import network_wrapping
from nnunetv2.training.network_wrapping import bare_network, compile_decision, compile_if, switch_deep_supervision

CUDA, CPU, MPS = torch.device("cuda"), torch.device("cpu"), torch.device("mps")


@pytest.fixture
def linux_with_compiler(monkeypatch):
    monkeypatch.setattr(network_wrapping.platform, "system", lambda: "Linux")
    monkeypatch.setattr(network_wrapping, "_missing_for_compilation", lambda: None)


@pytest.mark.parametrize(
    ("device", "variable", "compiles", "says_something"),
    [
        (CUDA, None, True, False),
        (CUDA, "true", True, False),
        (CUDA, "T", True, False),
        (CUDA, "1", True, False),
        (CUDA, "False", False, False),
        (CUDA, "0", False, False),
        (CUDA, "f", False, False),
        (CPU, None, False, False),
        (CPU, "true", False, True),
        (MPS, "true", False, True),
        (CPU, "f", False, False),
    ],
)
def test_compilation_follows_device_and_variable(
    device, variable, compiles, says_something, linux_with_compiler, monkeypatch
):
    if variable is not None:
        monkeypatch.setenv("nnUNet_compile", variable)
    decision, note = compile_decision(device)
    assert decision is compiles
    assert (note is not None) is says_something


def test_windows_does_not_compile(linux_with_compiler, monkeypatch):
    monkeypatch.setattr(network_wrapping.platform, "system", lambda: "Windows")
    monkeypatch.setenv("nnUNet_compile", "true")
    decision, note = compile_decision(CUDA)
    assert decision is False
    assert "Windows" in note


@pytest.mark.parametrize(("triton", "compiler", "reason"), [(None, "/usr/bin/gcc", "triton"), ("there", None, "gcc")])
def test_missing_tools_are_named_and_training_goes_on(triton, compiler, reason, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(network_wrapping.platform, "system", lambda: "Linux")
    monkeypatch.setattr(network_wrapping.importlib.util, "find_spec", lambda name: triton)
    monkeypatch.setattr(network_wrapping.shutil, "which", lambda name: compiler)
    decision, note = compile_decision(CUDA)
    assert decision is False
    assert reason in note


def test_a_torch_that_cannot_compile_gives_the_network_back(monkeypatch):
    def refuse(network):
        raise RuntimeError("not on this Python")

    monkeypatch.setattr(torch, "compile", refuse)
    network = nn.Linear(1, 1)
    result, note = compile_if(True, network, CUDA)
    assert result is network
    assert "not on this Python" in note


def wrapped(network: nn.Module) -> nn.Module:
    """Looks like the result of torch.compile."""
    outside = nn.Module()
    outside._orig_mod = network
    return outside


def test_the_bare_network_is_found_inside_wrappers():
    network = nn.Linear(1, 1)
    assert bare_network(network) is network
    assert bare_network(wrapped(wrapped(network))) is network


def test_deep_supervision_is_switched_inside_wrappers():
    network = nn.Module()
    network.decoder = nn.Module()
    network.decoder.deep_supervision = True
    switch_deep_supervision(wrapped(network), False, expected=True)
    assert network.decoder.deep_supervision is False


def test_a_network_without_decoder_asks_for_an_override_only_when_it_matters():
    network = nn.Linear(1, 1)
    switch_deep_supervision(network, False, expected=False)
    with pytest.raises(UsageError, match="set_deep_supervision_enabled"):
        switch_deep_supervision(network, True, expected=True)
