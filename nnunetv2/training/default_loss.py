"""The loss of the default trainer: soft Dice plus cross-entropy, 1:1, on every resolution of the decoder."""

from __future__ import annotations

from typing import Any

from torch import nn

from nnunetv2.training.loss.compound_losses import DC_and_BCE_loss, DC_and_CE_loss
from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss

# Keeps Dice defined for empty classes and hardly changes it otherwise.
DICE_SMOOTHING = 1e-5


def dice_and_cross_entropy(label_manager: Any, batch_dice: bool, ddp: bool) -> nn.Module:
    """The compound loss for labels (softmax, background left out of Dice) or for regions (sigmoid, all of them)."""
    dice = {"batch_dice": batch_dice, "smooth": DICE_SMOOTHING, "ddp": ddp}
    if label_manager.has_regions:
        return DC_and_BCE_loss(
            {},
            dice | {"do_bg": True},
            use_ignore_label=label_manager.ignore_label is not None,
            dice_class=MemoryEfficientSoftDiceLoss,
        )
    return DC_and_CE_loss(
        dice | {"do_bg": False},
        {},
        ignore_label=label_manager.ignore_label,
        dice_class=MemoryEfficientSoftDiceLoss,
    )
