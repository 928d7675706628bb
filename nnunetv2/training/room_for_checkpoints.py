"""Whether the checkpoints of a training fit on the disk, known before the first epoch."""

from __future__ import annotations

from os.path import isfile, join
from typing import TYPE_CHECKING

import torch

from nnunetv2.records.layout import CHECKPOINT_BEST
from nnunetv2.training.checkpoint import size_of_tensors
from nnunetv2.utilities.disk_space import require_room

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def require_room_for_checkpoints(trainer: nnUNetTrainer) -> None:
    """Raise DiskFullError when the best and the final checkpoint, which every training ends with, cannot fit."""
    if trainer.disable_checkpointing:
        return
    size = checkpoint_bytes(trainer.network, trainer.optimizer)
    missing = 1 + (not isfile(join(trainer.output_folder, CHECKPOINT_BEST)))
    require_room(
        trainer.output_folder,
        missing * size,
        f"a training with checkpoints of {size / 2**20:.0f} MiB",
        "Make room, set nnUNet_results to a larger disk, or write no checkpoints (--disable_checkpointing)",
    )


def checkpoint_bytes(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of weights and optimizer state: one value per parameter for the momentum of SGD, two for Adam's kind."""
    weights = size_of_tensors(network.state_dict())
    states = 0
    for group in optimizer.param_groups:
        copies = 2 if "betas" in group else int(bool(group.get("momentum")))
        states += copies * sum(p.numel() * p.element_size() for p in group["params"] if p.requires_grad)
    return weights + states
