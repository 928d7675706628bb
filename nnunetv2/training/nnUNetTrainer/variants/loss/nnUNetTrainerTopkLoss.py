"""Trainers that minimise the cross-entropy of the tenth of the voxels where it is largest."""

from __future__ import annotations

from nnunetv2.training.default_loss import DICE_SMOOTHING
from nnunetv2.training.loss.compound_losses import DC_and_topk_loss
from nnunetv2.training.loss.robust_ce_loss import TopKLoss
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.loss.building import for_all_outputs, require_labels

PERCENT = 10


class nnUNetTrainerTopk10Loss(nnUNetTrainer):
    """Cross-entropy of the hardest voxels; not for regions."""

    label_smoothing = 0.0

    def _build_loss(self):
        require_labels(self)
        ignore_label = self.label_manager.ignore_label
        ignored = {} if ignore_label is None else {"ignore_index": ignore_label}
        return for_all_outputs(self, TopKLoss(k=PERCENT, label_smoothing=self.label_smoothing, **ignored))


class nnUNetTrainerTopk10LossLS01(nnUNetTrainerTopk10Loss):
    """Cross-entropy of the hardest voxels with label smoothing 0.1; not for regions."""

    label_smoothing = 0.1


class nnUNetTrainerDiceTopK10Loss(nnUNetTrainer):
    """Dice plus cross-entropy of the hardest voxels; not for regions."""

    def _build_loss(self):
        require_labels(self)
        dice = {
            "batch_dice": self.configuration_manager.batch_dice,
            "smooth": DICE_SMOOTHING,
            "do_bg": False,
            "ddp": self.is_ddp,
        }
        loss = DC_and_topk_loss(dice, {"k": PERCENT}, ignore_label=self.label_manager.ignore_label)
        return for_all_outputs(self, loss)
