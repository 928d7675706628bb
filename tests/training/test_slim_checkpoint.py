"""Slim checkpoints hold the weights bit for bit, and are read where other checkpoints are."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open

from nnunetv2.errors import CheckpointError, FileContentError
from nnunetv2.run.load_pretrained_weights import load_pretrained_weights
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.slim_checkpoint import read_slim, write_slim
from tests.faults import hostile_files as make


class Twice(torch.nn.Module):
    """Weights under two names, as in an encoder that its decoder holds as well."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Conv2d(2, 3, 3)
        self.again = self.encoder
        self.norm = torch.nn.BatchNorm2d(3)


def content(network: torch.nn.Module) -> dict:
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}},
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "2d", "fold": 3, "plans": {"much": "more"}, "device": torch.device("cuda")},
        "inference_allowed_mirroring_axes": (0, 1),
    }


def test_weights_and_facts_come_back_and_nothing_else(tmp_path):
    original = content(Twice())
    original["network_weights"]["view"] = torch.arange(12.0).reshape(3, 4).T
    original["network_weights"]["half"] = torch.ones(3, dtype=torch.bfloat16)
    write_slim(tmp_path / "c.safetensors", original, "here")
    found = read_checkpoint(tmp_path / "c.safetensors")
    assert found.keys() == {"network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes"}
    assert found["init_args"] == {"configuration": "2d", "fold": 3}
    assert (found["trainer_name"], found["inference_allowed_mirroring_axes"]) == ("nnUNetTrainer", (0, 1))
    assert found["network_weights"].keys() == original["network_weights"].keys()
    for name, tensor in original["network_weights"].items():
        assert torch.equal(found["network_weights"][name], tensor), name
        assert found["network_weights"][name].dtype == tensor.dtype


def test_weights_with_two_names_are_stored_once(tmp_path):
    write_slim(tmp_path / "c.safetensors", content(Twice()), "here")
    with safe_open(tmp_path / "c.safetensors", "pt") as file:
        assert not [name for name in file.keys() if name.startswith("again.")]  # noqa: SIM118
        facts = json.loads(file.metadata()["nnunetv2"])
    assert facts["aliases"] == {"again.weight": "encoder.weight", "again.bias": "encoder.bias"}


def test_no_mirroring_stays_no_mirroring(tmp_path):
    write_slim(tmp_path / "c.safetensors", content(Twice()) | {"inference_allowed_mirroring_axes": None}, "here")
    assert read_slim(tmp_path / "c.safetensors")["inference_allowed_mirroring_axes"] is None


def test_a_training_may_start_from_it(tmp_path):
    source, target = Twice(), Twice()
    write_slim(tmp_path / "c.safetensors", content(source), "here")
    load_pretrained_weights(target, tmp_path / "c.safetensors")
    assert torch.equal(target.encoder.weight, source.encoder.weight)


def test_something_else_is_not_written(tmp_path):
    with pytest.raises(FileContentError, match="here has no network_weights, trainer_name"):
        write_slim(tmp_path / "c.safetensors", {"a": 1}, "here")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 2}, "its format is 2, known is 1"),
        ({"trainer_name": ["a"]}, "must be text"),
        ({"init_args": {}}, "must be text"),
        ({"init_args": 5}, "must be text"),
        ({"inference_allowed_mirroring_axes": ["0"]}, "list of axis numbers"),
        ({"aliases": ["w"]}, "aliases must map"),
        ({"aliases": {"a": {}}}, "aliases name {}"),
    ],
)
def test_facts_that_do_not_fit_are_named(tmp_path, changes, reason):
    path = tmp_path / "c.safetensors"
    make.safetensors_file(path, {"__metadata__": make.facts(**changes), "w": make.tensor_entry()})
    with pytest.raises(CheckpointError, match=rf"c\.safetensors is no checkpoint of this package: .*{reason}"):
        read_slim(path)


@pytest.mark.parametrize("kept", [0, 4, 0.5, 0.99])
def test_a_file_cut_short_is_damaged(tmp_path, kept):
    path = tmp_path / "c.safetensors"
    write_slim(path, content(Twice()), "here")
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(CheckpointError, match=r"c\.safetensors \(\d+ bytes\) is not a readable safetensors file"):
        read_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"c\.safetensors does not exist"):
        read_checkpoint(tmp_path / "c.safetensors")
