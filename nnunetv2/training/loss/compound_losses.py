"""Weighted sums of a Dice loss and a cross-entropy, aware of voxels without annotation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from nnunetv2.training.loss.dice import MemoryEfficientSoftDiceLoss, SoftDiceLoss
from nnunetv2.training.loss.robust_ce_loss import RobustCrossEntropyLoss, TopKLoss
from nnunetv2.utilities.helpers import softmax_helper_dim1


class _SoftmaxCompoundLoss(nn.Module):
    """weight_ce * cross-entropy + weight_dice * Dice for mutually exclusive classes.

    Voxels with ``ignore_label`` take part in neither term. The parts are the attributes ``ce`` and ``dc``.
    """

    cross_entropy_class: type[nn.Module]

    def __init__(
        self,
        soft_dice_kwargs: Mapping[str, Any],
        ce_kwargs: Mapping[str, Any],
        weight_ce: float,
        weight_dice: float,
        ignore_label: int | None,
        dice_class: type[nn.Module],
    ):
        super().__init__()
        if ignore_label is not None:
            ce_kwargs = {**ce_kwargs, "ignore_index": ignore_label}
        self.weight_ce = weight_ce
        self.weight_dice = weight_dice
        self.ignore_label = ignore_label
        self.ce = self.cross_entropy_class(**ce_kwargs)
        self.dc = dice_class(apply_nonlin=softmax_helper_dim1, **soft_dice_kwargs)

    def forward(self, net_output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss (0-d) of logits (B, C, *spatial) for a label map (B, 1, *spatial). A term of weight 0 is left out."""
        mask, known_labels = None, target
        if self.ignore_label is not None:
            if target.ndim != net_output.ndim or target.shape[1] != 1:
                raise ValueError(
                    f"with an ignore label the target must be a label map (B, 1, ...), not {tuple(target.shape)}"
                )
            mask = target != self.ignore_label
            known_labels = torch.where(mask, target, 0)
        loss = 0
        if self.weight_dice != 0:
            loss = loss + self.weight_dice * self.dc(net_output, known_labels, loss_mask=mask)
        # The mean over no annotated voxel at all would be NaN.
        if self.weight_ce != 0 and (mask is None or bool(mask.any())):
            loss = loss + self.weight_ce * self.ce(net_output, target)
        # With both terms left out, still a tensor that can be differentiated.
        return loss if isinstance(loss, torch.Tensor) else net_output.sum() * 0


class DC_and_CE_loss(_SoftmaxCompoundLoss):
    """Dice and cross-entropy, the default for label maps."""

    cross_entropy_class = RobustCrossEntropyLoss

    def __init__(
        self,
        soft_dice_kwargs: Mapping[str, Any],
        ce_kwargs: Mapping[str, Any],
        weight_ce: float = 1,
        weight_dice: float = 1,
        ignore_label: int | None = None,
        dice_class: type[nn.Module] = SoftDiceLoss,
    ):
        super().__init__(soft_dice_kwargs, ce_kwargs, weight_ce, weight_dice, ignore_label, dice_class)


class DC_and_topk_loss(_SoftmaxCompoundLoss):
    """Dice and the cross-entropy of the hardest voxels."""

    cross_entropy_class = TopKLoss

    def __init__(
        self,
        soft_dice_kwargs: Mapping[str, Any],
        ce_kwargs: Mapping[str, Any],
        weight_ce: float = 1,
        weight_dice: float = 1,
        ignore_label: int | None = None,
    ):
        super().__init__(soft_dice_kwargs, ce_kwargs, weight_ce, weight_dice, ignore_label, SoftDiceLoss)


class DC_and_BCE_loss(nn.Module):
    """Dice and binary cross-entropy for regions, which may overlap; the default for region-based training.

    With ``use_ignore_label`` the last channel of the target marks voxels without annotation. Then the binary
    cross-entropy is summed over all R regions and divided by the number of annotated voxels, which makes it R times
    the mean used without an ignore label. Trained models and their losses depend on this factor.
    """

    def __init__(
        self,
        bce_kwargs: Mapping[str, Any],
        soft_dice_kwargs: Mapping[str, Any],
        weight_ce: float = 1,
        weight_dice: float = 1,
        use_ignore_label: bool = False,
        dice_class: type[nn.Module] = MemoryEfficientSoftDiceLoss,
    ):
        super().__init__()
        if use_ignore_label:
            bce_kwargs = {**bce_kwargs, "reduction": "none"}
        self.weight_ce = weight_ce
        self.weight_dice = weight_dice
        self.use_ignore_label = use_ignore_label
        self.ce = nn.BCEWithLogitsLoss(**bce_kwargs)
        self.dc = dice_class(apply_nonlin=torch.sigmoid, **soft_dice_kwargs)

    def forward(self, net_output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss (0-d) of logits (B, R, *spatial) for regions (B, R, *spatial), or (B, R + 1, *spatial) with the flag."""
        mask, regions = None, target
        if self.use_ignore_label:
            mask, regions = target[:, -1:] == 0, target[:, :-1]
        dice = self.dc(net_output, regions, loss_mask=mask)
        cross_entropy = self.ce(net_output, regions.to(net_output.dtype))
        if mask is not None:
            cross_entropy = (cross_entropy * mask).sum() / mask.sum().clamp_min(1e-8)
        return self.weight_ce * cross_entropy + self.weight_dice * dice
