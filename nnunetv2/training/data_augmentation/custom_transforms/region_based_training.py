"""ConvertSegmentationToRegionsTransform: one channel per region instead of one channel of labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from batchgenerators.transforms.abstract_transforms import AbstractTransform


class ConvertSegmentationToRegionsTransform(AbstractTransform):
    """Labels (B, C, *patch) to regions (B, len(regions), *patch), uint8, 1 inside; regions may overlap.

    Parameters
    ----------
    regions : labels of each region, a single label or several.
    seg_key, output_key : arrays to read and to write in the batch.
    seg_channel : channel of the segmentation to convert.
    """

    def __init__(
        self,
        regions: Sequence[int | Sequence[int]],
        seg_key: str = "seg",
        output_key: str = "seg",
        seg_channel: int = 0,
    ):
        self.regions = regions
        self.seg_key = seg_key
        self.output_key = output_key
        self.seg_channel = seg_channel

    def __call__(self, **data_dict):
        labels = data_dict[self.seg_key][:, self.seg_channel]
        members = [np.isin(labels, np.atleast_1d(region)) for region in self.regions]
        data_dict[self.output_key] = np.stack(members, axis=1).astype(np.uint8)
        return data_dict
