"""Two steps every sample takes, of batchgeneratorsv2, with the same results: replacing a label, and smaller targets."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from batchgeneratorsv2.transforms.utils import deep_supervision_downsampling, remove_label
from torch.nn import functional


class RemoveLabelTransform(remove_label.RemoveLabelTransform):
    """Replaces one label by another, in place; integers by arithmetic, which is faster than a boolean mask."""

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **parameters: Any) -> torch.Tensor:
        if segmentation.dtype not in (torch.int8, torch.int16, torch.int32, torch.int64):
            return super()._apply_to_segmentation(segmentation, **parameters)
        wanted = self.segmentation_channels
        for channel in segmentation if wanted is None else (segmentation[index] for index in wanted):
            found = torch.eq(channel, self.label_value, out=torch.empty_like(channel))
            channel.add_(found, alpha=self.set_to - self.label_value)
        return segmentation


class DownsampleSegForDSTransform(deep_supervision_downsampling.DownsampleSegForDSTransform):
    """One target per output: the voxels that ``mode="nearest-exact"`` picks are picked, axis by axis."""

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **parameters: Any) -> list[torch.Tensor]:
        return [self._smaller(segmentation, scale) for scale in self.ds_scales]

    def _smaller(self, segmentation: torch.Tensor, scale: Any) -> torch.Tensor:
        scales = scale if isinstance(scale, (tuple, list)) else [scale] * (segmentation.ndim - 1)
        for axis, (size, factor) in enumerate(zip(tuple(segmentation.shape[1:]), scales, strict=True), start=1):
            if factor != 1:
                picked = _picked_voxels(size, round(size * factor)).to(segmentation.device)
                segmentation = segmentation.index_select(axis, picked)
        return segmentation


@lru_cache(maxsize=64)
def _picked_voxels(size: int, new_size: int) -> torch.Tensor:
    """Index (new_size,) of the voxel of an axis of ``size`` that each voxel of the smaller one takes."""
    places = torch.arange(size, dtype=torch.float32, device="cpu")[None, None]
    return functional.interpolate(places, new_size, mode="nearest-exact")[0, 0].long()
