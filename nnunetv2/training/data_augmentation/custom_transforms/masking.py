"""MaskTransform: set image channels to a constant outside the mask."""

from __future__ import annotations

from collections.abc import Sequence

from batchgenerators.transforms.abstract_transforms import AbstractTransform


class MaskTransform(AbstractTransform):
    """Overwrite image voxels where the segmentation is negative, in place.

    Parameters
    ----------
    apply_to_channels : image channels to change.
    mask_idx_in_seg : segmentation channel that holds the mask.
    set_outside_to : value to write.
    data_key, seg_key : arrays (B, C, *patch) in the batch.
    """

    def __init__(
        self,
        apply_to_channels: Sequence[int],
        mask_idx_in_seg: int = 0,
        set_outside_to: float = 0,
        data_key: str = "data",
        seg_key: str = "seg",
    ):
        self.apply_to_channels = apply_to_channels
        self.mask_idx_in_seg = mask_idx_in_seg
        self.set_outside_to = set_outside_to
        self.data_key = data_key
        self.seg_key = seg_key

    def __call__(self, **data_dict):
        outside = data_dict[self.seg_key][:, self.mask_idx_in_seg] < 0
        for channel in self.apply_to_channels:
            data_dict[self.data_key][:, channel][outside] = self.set_outside_to
        return data_dict
