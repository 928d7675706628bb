"""Trainers that minimise cross-entropy alone."""

from __future__ import annotations

from nnunetv2.training.default_loss import dice_and_cross_entropy
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.loss.building import for_all_outputs, require_labels


class nnUNetTrainerCELoss(nnUNetTrainer):
    """Cross-entropy; not for regions."""

    def _build_loss(self):
        require_labels(self)
        # With weight 0 Dice is not computed. The compound is kept since it copes with patches nobody annotated.
        loss = dice_and_cross_entropy(self.label_manager, self.configuration_manager.batch_dice, self.is_ddp)
        loss.weight_dice = 0
        return for_all_outputs(self, loss)


class nnUNetTrainerCELoss_5epochs(nnUNetTrainerCELoss):
    """Cross-entropy, 5 epochs."""

    num_epochs = 5
