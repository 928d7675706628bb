"""A trainer for networks with one output."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerNoDeepSupervision(nnUNetTrainer):
    """The loss sees the output at full resolution only."""

    enable_deep_supervision = False
