"""Soft Dice losses.

In this module ``probabilities`` or ``net_output`` is (B, C, *spatial), a target is a label map (B, 1, *spatial) or
(B, *spatial) or, with the shape of the output, one channel per class; a mask is (B, 1, *spatial), 1 where annotated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from nnunetv2.training.distributed import is_distributed
from nnunetv2.utilities.ddp_allgather import AllGatherGrad

# Keeps the quotient finite when prediction, reference and smoothing term are all zero.
SMALLEST_DENOMINATOR = 1e-8


def one_channel_per_class(target: torch.Tensor, shape: Sequence[int], first_class: int = 0) -> torch.Tensor:
    """The target as membership per class, (B, C - first_class, *spatial).

    ``shape`` is that of the output, (B, C, *spatial). A target of this very shape is passed on (a view), a label map
    becomes bool. Classes below ``first_class`` are left out. A label without a channel belongs to no class.
    """
    if tuple(target.shape) == tuple(shape):
        return target[:, first_class:]
    if target.ndim == len(shape) - 1:
        target = target.unsqueeze(1)
    if target.ndim != len(shape) or target.shape[1] != 1:
        raise ValueError(
            f"a target of shape {tuple(target.shape)} does not go with an output of shape {tuple(shape)}; it must be a "
            f"label map with one channel, or have one channel per class"
        )
    classes = torch.arange(first_class, shape[1], device=target.device)
    return target == classes.view(1, -1, *[1] * (len(shape) - 2))


def _sum(values: torch.Tensor, axes: Sequence[int]) -> torch.Tensor:
    """Sum in single precision at least: half precision ends at 65504, less than the voxels of one patch."""
    narrow = not values.is_floating_point() or values.itemsize < 4
    return values.sum(tuple(axes), dtype=torch.float32 if narrow else None)


def overlap_sums(
    probabilities: torch.Tensor, target: torch.Tensor, mask: torch.Tensor | None = None, first_class: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Intersection, size of the prediction and size of the reference, each (B, C - first_class), summed over space.

    Gradients flow through the first two only.
    """
    axes = range(2, probabilities.ndim)
    with torch.no_grad():
        members = one_channel_per_class(target, probabilities.shape, first_class)
        if mask is not None:
            members = members * mask
        reference = _sum(members, axes)
    predicted = probabilities[:, first_class:]
    intersection = _sum(predicted * members, axes)
    return intersection, _sum(predicted if mask is None else predicted * mask, axes), reference


class _SoftDice(nn.Module):
    """Minus the mean soft Dice of all classes: (2 I + s) / (G + P + s)."""

    def __init__(
        self,
        apply_nonlin: Callable[[torch.Tensor], torch.Tensor] | None,
        batch_dice: bool,
        do_bg: bool,
        smooth: float,
        ddp: bool,
        clip_tp: float | None = None,
    ):
        super().__init__()
        self.apply_nonlin = apply_nonlin
        self.batch_dice = batch_dice
        self.do_bg = do_bg
        self.smooth = smooth
        self.ddp = ddp
        self.clip_tp = clip_tp

    def forward(self, x: torch.Tensor, y: torch.Tensor, loss_mask: torch.Tensor | None = None) -> torch.Tensor:
        """Loss (a 0-d tensor in [-1, 0]) of the output ``x`` for the target ``y``; shapes as in the module's legend."""
        if self.apply_nonlin is not None:
            x = self.apply_nonlin(x)
        sums = torch.stack(overlap_sums(x, y, loss_mask, first_class=0 if self.do_bg else 1))
        if self.batch_dice:
            # Over the samples of this rank first: ranks may hold different numbers of samples.
            sums = sums.sum(1)
            if self.ddp and is_distributed():
                sums = AllGatherGrad.apply(sums).sum(0)
        return -self._dice(*sums).mean()

    def _dice(self, intersection: torch.Tensor, predicted: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
        size = predicted + reference
        if self.clip_tp is not None:
            # In the form 2tp / (2tp + fp + fn) a larger tp enlarges the denominator too.
            raised = intersection.clamp_min(self.clip_tp)
            size = size + 2 * (raised - intersection)
            intersection = raised
        return (2 * intersection + self.smooth) / (size + self.smooth).clamp_min(SMALLEST_DENOMINATOR)


class MemoryEfficientSoftDiceLoss(_SoftDice):
    """Soft Dice loss of the default trainer.

    ``apply_nonlin`` turns logits into probabilities. ``batch_dice`` takes the batch, of all ranks if ``ddp``, as one
    large sample. Without ``do_bg`` class 0 does not count. ``smooth`` is added to numerator and denominator.
    """

    def __init__(
        self,
        apply_nonlin: Callable[[torch.Tensor], torch.Tensor] | None = None,
        batch_dice: bool = False,
        do_bg: bool = True,
        smooth: float = 1.0,
        ddp: bool = True,
    ):
        super().__init__(apply_nonlin, batch_dice, do_bg, smooth, ddp)


class SoftDiceLoss(_SoftDice):
    """The same loss, with ``clip_tp`` as lower bound of the soft true positives."""

    def __init__(
        self,
        apply_nonlin: Callable[[torch.Tensor], torch.Tensor] | None = None,
        batch_dice: bool = False,
        do_bg: bool = True,
        smooth: float = 1.0,
        ddp: bool = True,
        clip_tp: float | None = None,
    ):
        super().__init__(apply_nonlin, batch_dice, do_bg, smooth, ddp, clip_tp)


def get_tp_fp_fn_tn(
    net_output: torch.Tensor,
    gt: torch.Tensor,
    axes: Sequence[int] | None = None,
    mask: torch.Tensor | None = None,
    square: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Soft true and false positives, false and true negatives, summed over ``axes`` (default: all spatial axes).

    ``net_output`` (B, C, *spatial) holds probabilities or hard decisions; ``square`` squares each voxel's share first.
    """
    axes = range(2, net_output.ndim) if axes is None else axes
    inside = net_output if net_output.is_floating_point() else net_output.float()
    with torch.no_grad():
        reference = one_channel_per_class(gt, net_output.shape).to(inside.dtype)

    def total(predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
        share = predicted * actual
        if mask is not None:
            share = share * mask
        return _sum(share**2 if square else share, axes)

    outside, elsewhere = 1 - inside, 1 - reference
    return total(inside, reference), total(inside, elsewhere), total(outside, reference), total(outside, elsewhere)
