"""A trainer whose learning rate follows a cosine."""

from __future__ import annotations

from nnunetv2.training.lr_scheduler.cosine import CosineLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerCosAnneal(nnUNetTrainer):
    """The learning rate falls along half a cosine, slowly first and last."""

    def configure_optimizers(self):
        """The optimizer of the next class, with this schedule."""
        optimizer, _ = super().configure_optimizers()
        return optimizer, CosineLRScheduler(optimizer, self.initial_lr, self.num_epochs)
