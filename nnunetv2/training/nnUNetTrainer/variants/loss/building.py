"""What trainers with another loss have in common: one loss for all outputs, and the check for regions."""

from __future__ import annotations

from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper, deep_supervision_weights
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def for_all_outputs(trainer: nnUNetTrainer, loss: nn.Module) -> nn.Module:
    """``loss`` of one output, applied to all outputs with the weights of the default trainer."""
    scales = trainer._get_deep_supervision_scales()
    if scales is None:
        return loss
    unused_need_gradient = trainer.is_ddp and not trainer._do_i_compile()
    return DeepSupervisionWrapper(loss, deep_supervision_weights(len(scales), unused_need_gradient))


def require_labels(trainer: nnUNetTrainer) -> None:
    """Raise UsageError for a data set with regions, which may overlap: its loss cannot be a softmax over classes."""
    if trainer.label_manager.has_regions:
        raise UsageError(
            f"{type(trainer).__name__} is for labels that exclude each other, but the dataset.json of "
            f"{trainer.plans_manager.dataset_name} defines regions. Use nnUNetTrainer or nnUNetTrainerDiceLoss"
        )
