"""The size of a checkpoint is known before it is written, and a training it does not fit for does not start."""

from types import SimpleNamespace

import pytest
import torch

from nnunetv2.errors import DiskFullError
from nnunetv2.training.checkpoint import write_checkpoint
from nnunetv2.training.room_for_checkpoints import checkpoint_bytes, require_room_for_checkpoints
from nnunetv2.utilities import disk_space


def trained(make_optimizer) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    network = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.BatchNorm1d(300))
    optimizer = make_optimizer(network.parameters())
    network(torch.ones(2, 300)).sum().backward()
    optimizer.step()
    return network, optimizer


@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.99, nesterov=True),
        lambda parameters: torch.optim.SGD(parameters, 0.01),
        lambda parameters: torch.optim.AdamW(parameters, 0.01),
    ],
    ids=["SGD with momentum", "SGD", "AdamW"],
)
def test_the_estimate_is_the_size_of_the_file_without_its_frame(tmp_path, make_optimizer):
    network, optimizer = trained(make_optimizer)
    path = tmp_path / "checkpoint.pth"
    write_checkpoint(path, {"network_weights": network.state_dict(), "optimizer_state": optimizer.state_dict()})
    assert 0.98 * path.stat().st_size < checkpoint_bytes(network, optimizer) <= path.stat().st_size


def test_a_training_starts_only_where_its_last_checkpoints_fit(tmp_path, monkeypatch):
    network, optimizer = trained(lambda parameters: torch.optim.SGD(parameters, 0.01))
    trainer = SimpleNamespace(
        network=network, optimizer=optimizer, output_folder=str(tmp_path), disable_checkpointing=False
    )
    size = checkpoint_bytes(network, optimizer)
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 2 * size - 1)
    with pytest.raises(DiskFullError, match=r"--disable_checkpointing\), or set nnUNet_ignore_resources=1"):
        require_room_for_checkpoints(trainer)
    (tmp_path / "checkpoint_best.pth").touch()
    require_room_for_checkpoints(trainer)
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 0)
    trainer.disable_checkpointing = True
    require_room_for_checkpoints(trainer)
