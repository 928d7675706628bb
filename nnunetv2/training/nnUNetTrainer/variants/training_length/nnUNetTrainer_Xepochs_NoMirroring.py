"""Trainers that differ in the number of epochs and never mirror."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import nnUNetTrainerNoMirroring


class nnUNetTrainer_250epochs_NoMirroring(nnUNetTrainerNoMirroring):
    """250 epochs, no mirroring."""

    num_epochs = 250


class nnUNetTrainer_2000epochs_NoMirroring(nnUNetTrainerNoMirroring):
    """2000 epochs, no mirroring."""

    num_epochs = 2000


class nnUNetTrainer_4000epochs_NoMirroring(nnUNetTrainerNoMirroring):
    """4000 epochs, no mirroring."""

    num_epochs = 4000


class nnUNetTrainer_8000epochs_NoMirroring(nnUNetTrainerNoMirroring):
    """8000 epochs, no mirroring."""

    num_epochs = 8000
