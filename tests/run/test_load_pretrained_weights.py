"""Which weights are taken over from another model, and what is refused."""

from __future__ import annotations

import logging

import pytest
import torch
from torch import nn

from nnunetv2.errors import CheckpointError
from nnunetv2.run.load_pretrained_weights import compare_weights, load_pretrained_weights
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


def report_of(caplog, network, path, **kwargs) -> list[str]:
    log = logging.getLogger("nnunetv2.run.load_pretrained_weights")
    log.addHandler(caplog.handler)  # the package's own handler may have ended propagation
    try:
        with caplog.at_level(logging.INFO, logger=log.name):
            load_pretrained_weights(network, path, **kwargs)
    finally:
        log.removeHandler(caplog.handler)
    return caplog.records[-1].getMessage().splitlines()


def test_the_report_counts_what_was_taken_over_and_lists_what_was_skipped_with_shapes(pretrained, tmp_path, caplog):
    source, _ = pretrained
    path = tmp_path / "more.pth"
    write_checkpoint(path, {"network_weights": source.state_dict() | {"projection.weight": torch.zeros(7, 4)}})
    lines = report_of(caplog, Network(), path)
    assert lines[0] == f"Pretrained weights from {path}: 2 of 6 weights are taken over"
    assert lines[1] == "4 segmentation layer weights keep their initialisation:"
    assert lines[2] == "  decoder.seg_layers.0.weight (3, 4, 1, 1)"
    assert lines[-2:] == ["1 weights of the file are not used:", "  projection.weight (7, 4)"]
    assert not any("encoder" in line for line in lines)


def test_the_verbose_report_lists_the_weights_taken_over_but_no_numbers(pretrained, caplog):
    _, path = pretrained
    lines = report_of(caplog, Network(), path, verbose=True)
    assert lines[1:3] == ["  encoder.weight (4, 2, 3, 3)", "  encoder.bias (4,)"]
    assert "tensor" not in "".join(lines)


def test_a_comparison_copies_nothing_and_names_every_problem(pretrained):
    source, _ = pretrained
    target = Network(channels=1)
    given = {"encoder.weight": source.encoder.weight}
    comparison = compare_weights(target.state_dict(), given)
    assert comparison.matched == {}
    assert comparison.problems == (
        "encoder.bias (4,) is missing",
        "encoder.weight has shape (4, 2, 3, 3), needed is (4, 1, 3, 3)",
    )


def test_only_the_first_problems_of_another_architecture_are_spelled_out(tmp_path):
    write_checkpoint(tmp_path / "empty.pth", {"network_weights": {}})
    network = nn.Sequential(*[nn.Conv2d(1, 1, 1) for _ in range(4)])
    with pytest.raises(CheckpointError, match=r"; and 3 more\. Use the plans"):
        load_pretrained_weights(network, tmp_path / "empty.pth")
