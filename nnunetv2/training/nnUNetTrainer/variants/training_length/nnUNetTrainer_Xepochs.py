"""Trainers that differ in the number of epochs."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_1epoch(nnUNetTrainer):
    """1 epoch instead of 1000."""

    num_epochs = 1


class nnUNetTrainer_5epochs(nnUNetTrainer):
    """5 epochs instead of 1000."""

    num_epochs = 5


class nnUNetTrainer_10epochs(nnUNetTrainer):
    """10 epochs instead of 1000."""

    num_epochs = 10


class nnUNetTrainer_20epochs(nnUNetTrainer):
    """20 epochs instead of 1000."""

    num_epochs = 20


class nnUNetTrainer_50epochs(nnUNetTrainer):
    """50 epochs instead of 1000."""

    num_epochs = 50


class nnUNetTrainer_100epochs(nnUNetTrainer):
    """100 epochs instead of 1000."""

    num_epochs = 100


class nnUNetTrainer_250epochs(nnUNetTrainer):
    """250 epochs instead of 1000."""

    num_epochs = 250


class nnUNetTrainer_500epochs(nnUNetTrainer):
    """500 epochs instead of 1000."""

    num_epochs = 500


class nnUNetTrainer_750epochs(nnUNetTrainer):
    """750 epochs instead of 1000."""

    num_epochs = 750


class nnUNetTrainer_2000epochs(nnUNetTrainer):
    """2000 epochs instead of 1000."""

    num_epochs = 2000


class nnUNetTrainer_4000epochs(nnUNetTrainer):
    """4000 epochs instead of 1000."""

    num_epochs = 4000


class nnUNetTrainer_8000epochs(nnUNetTrainer):
    """8000 epochs instead of 1000."""

    num_epochs = 8000
