"""Which weights are taken over from another model, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nnunetv2.errors import CheckpointError
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.training.checkpoint import write_checkpoint


class Network(nn.Module):
    """An encoder and two segmentation layers."""

    def __init__(self, channels: int = 2, classes: int = 3):
        super().__init__()
        self.encoder = nn.Conv2d(channels, 4, 3)
        self.decoder = nn.Module()
        self.decoder.seg_layers = nn.ModuleList([nn.Conv2d(4, classes, 1) for _ in range(2)])


@pytest.fixture
def pretrained(tmp_path):
    network = Network(classes=5)
    path = tmp_path / "pretrained.pth"
    write_checkpoint(path, {"network_weights": network.state_dict()})
    return network, path


def test_all_but_the_segmentation_layers_are_copied(pretrained):
    source, path = pretrained
    target = Network()
    before = target.decoder.seg_layers[0].weight.clone()
    load_pretrained_weights(target, path)
    assert torch.equal(target.encoder.weight, source.encoder.weight)
    assert torch.equal(target.decoder.seg_layers[0].weight, before)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_wrapped_networks_are_understood(prefix, pretrained, tmp_path):
    source, _ = pretrained
    path = tmp_path / "wrapped.pth"
    write_checkpoint(path, {"network_weights": {prefix + k: v for k, v in source.state_dict().items()}})
    target = Network()
    load_pretrained_weights(target, path)
    assert torch.equal(target.encoder.weight, source.encoder.weight)


def test_a_compiled_network_is_looked_into(pretrained):
    source, path = pretrained
    target, compiled = Network(), nn.Module()
    compiled._orig_mod = target  # what torch.compile makes of it
    load_pretrained_weights(compiled, path)
    assert torch.equal(target.encoder.weight, source.encoder.weight)


@pytest.mark.parametrize("error", [CheckpointError, AssertionError])
def test_another_number_of_channels_is_refused_and_named(error, pretrained):
    _, path = pretrained
    target = Network(channels=1)
    before = target.encoder.weight.clone()
    with pytest.raises(error, match=r"encoder\.weight has shape \(4, 2, 3, 3\), needed is \(4, 1, 3, 3\)"):
        load_pretrained_weights(target, path)
    assert torch.equal(target.encoder.weight, before)


def test_a_file_without_weights_is_refused(tmp_path):
    write_checkpoint(tmp_path / "other.pth", {"epoch": 3})
    with pytest.raises(CheckpointError, match="network_weights"):
        load_pretrained_weights(Network(), tmp_path / "other.pth")
