"""Cross-entropy on label maps with a channel axis, over all voxels or the hardest ones."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


def label_map_without_channel(target: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """(B, 1, *spatial) or (B, *spatial), any dtype, as int64 (B, *spatial). ``output`` is (B, C, *spatial)."""
    if target.ndim == output.ndim:
        if target.shape[1] != 1:
            raise ValueError(
                f"cross-entropy needs a label map, (B, 1, ...) or (B, ...); the target has shape {tuple(target.shape)}"
            )
        target = target[:, 0]
    return target.long()


class RobustCrossEntropyLoss(nn.CrossEntropyLoss):
    """``torch.nn.CrossEntropyLoss`` for float or integer targets, with or without a channel axis of length 1."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of the logits ``input`` (B, C, *spatial) for ``target`` (B, 1, *spatial) or (B, *spatial)."""
        return super().forward(input, label_map_without_channel(target, input))


class TopKLoss(RobustCrossEntropyLoss):
    """Mean cross-entropy of the ``k`` percent of voxels with the largest one, over the whole batch.

    ``k`` is a share of all voxels; ignored ones count with a loss of 0. At least one voxel is taken.
    """

    def __init__(
        self,
        weight: torch.Tensor | None = None,
        ignore_index: int = -100,
        k: float = 10,
        label_smoothing: float = 0,
    ):
        super().__init__(weight, ignore_index=ignore_index, reduction="none", label_smoothing=label_smoothing)
        self.k = k

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss (0-d) of the logits ``input`` (B, C, *spatial) for ``target`` (B, 1, *spatial) or (B, *spatial)."""
        per_voxel = functional.cross_entropy(
            input,
            label_map_without_channel(target, input),
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.label_smoothing,
        ).flatten()
        count = max(1, int(per_voxel.numel() * self.k / 100))
        return per_voxel.topk(count, sorted=False).values.mean()
