"""Trainers with Adam. The schedule stays polynomial; the weight decay is that of the default."""

from __future__ import annotations

from torch.optim import Adam, AdamW

from nnunetv2.training.lr_scheduler.polylr import PolyLRScheduler
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerAdam(nnUNetTrainer):
    """AdamW (weight decay apart from the gradient) in its AMSGrad form, initial learning rate 1e-2."""

    def configure_optimizers(self):
        optimizer = AdamW(self.network.parameters(), lr=self.initial_lr, weight_decay=self.weight_decay, amsgrad=True)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)


class nnUNetTrainerAdam1en3(nnUNetTrainerAdam):
    """AdamW, initial learning rate 1e-3."""

    initial_lr = 1e-3


class nnUNetTrainerAdam3en4(nnUNetTrainerAdam):
    """AdamW, initial learning rate 3e-4."""

    initial_lr = 3e-4


class nnUNetTrainerVanillaAdam(nnUNetTrainer):
    """Adam as first published, weight decay added to the gradient; initial learning rate 1e-2."""

    def configure_optimizers(self):
        optimizer = Adam(self.network.parameters(), lr=self.initial_lr, weight_decay=self.weight_decay)
        return optimizer, PolyLRScheduler(optimizer, self.initial_lr, self.num_epochs)


class nnUNetTrainerVanillaAdam1en3(nnUNetTrainerVanillaAdam):
    """Adam, initial learning rate 1e-3."""

    initial_lr = 1e-3


class nnUNetTrainerVanillaAdam3en4(nnUNetTrainerVanillaAdam):
    """Adam, initial learning rate 3e-4."""

    initial_lr = 3e-4
