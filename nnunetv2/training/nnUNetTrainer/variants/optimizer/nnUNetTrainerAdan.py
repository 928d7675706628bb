"""Trainers with Adan (Xie et al., Adaptive Nesterov momentum, 2022), from the optional package adan-pytorch."""

from __future__ import annotations

from nnunetv2.errors import UsageError
from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.lr_schedule.nnUNetTrainerCosAnneal import nnUNetTrainerCosAnneal


def adan_class() -> type:
    """The optimizer class. Raises UsageError while its package is not installed."""
    try:
        from adan_pytorch import Adan
    except ImportError as error:
        raise UsageError(
            "trainers with the Adan optimizer need the package adan-pytorch, which is not installed here "
            f"({error}). Run: pip install adan-pytorch"
        ) from error
    return Adan


class nnUNetTrainerAdan(nnUNetTrainer):
    """Adan, initial learning rate 1e-2."""

    def configure_optimizers(self):
        """Adan with its own coefficients, and the polynomial schedule. Raises UsageError without adan-pytorch."""
        optimizer = adan_class()(self.network.parameters(), lr=self.initial_lr, weight_decay=self.weight_decay)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)


class nnUNetTrainerAdan1en3(nnUNetTrainerAdan):
    """Adan, initial learning rate 1e-3."""

    initial_lr = 1e-3


class nnUNetTrainerAdan3en4(nnUNetTrainerAdan):
    """Adan, initial learning rate 3e-4."""

    initial_lr = 3e-4


class nnUNetTrainerAdan1en1(nnUNetTrainerAdan):
    """Adan, initial learning rate 1e-1, with which training diverges; kept because comparisons name it."""

    initial_lr = 1e-1


class nnUNetTrainerAdanCosAnneal(nnUNetTrainerCosAnneal, nnUNetTrainerAdan):
    """Adan, initial learning rate 1e-2, cosine schedule."""
