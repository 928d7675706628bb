"""The trainer of the FLARE24 Task 1 system. The file name is the published one."""

from __future__ import annotations

import torch

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_Epoch2000_Lr1e3(nnUNetTrainer):
    """2000 epochs, initial learning rate 1e-3. The constructor is that of v2.2, since its checkpoints record it."""

    def __init__(
        self,
        plans: dict,
        configuration: str,
        fold: int | str,
        dataset_json: dict,
        unpack_dataset: bool = True,
        device: torch.device = torch.device("cuda"),  # noqa: B008 - immutable
    ):
        super().__init__(plans, configuration, fold, dataset_json, unpack_dataset, device)
        self.num_epochs = 2000
        self.initial_lr = 1e-3
