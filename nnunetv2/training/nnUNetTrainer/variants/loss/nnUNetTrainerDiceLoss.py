"""Trainers that minimise Dice alone, or Dice without smoothing."""

from __future__ import annotations

from nnunetv2.training.default_loss import dice_and_cross_entropy
from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.loss.building import for_all_outputs

# Other people's trainers import * from here to build losses of their own.
__all__ = [
    "DC_and_BCE_loss",
    "DC_and_CE_loss",
    "DeepSupervisionWrapper",
    "MemoryEfficientSoftDiceLoss",
    "nnUNetTrainer",
    "nnUNetTrainerDiceCELoss_noSmooth",
    "nnUNetTrainerDiceLoss",
]


class nnUNetTrainerDiceLoss(nnUNetTrainer):
    """Soft Dice of labels or regions; voxels with the ignore label are left out, as in the default loss."""

    def _build_loss(self):
        loss = dice_and_cross_entropy(self.label_manager, self.configuration_manager.batch_dice, self.is_ddp)
        loss.weight_ce = 0
        return for_all_outputs(self, loss)


class nnUNetTrainerDiceCELoss_noSmooth(nnUNetTrainer):
    """Dice and cross-entropy; nothing is added to numerator and denominator of Dice."""

    def _build_loss(self):
        loss = dice_and_cross_entropy(self.label_manager, self.configuration_manager.batch_dice, self.is_ddp)
        loss.dc.smooth = 0
        return for_all_outputs(self, loss)
