"""DownsampleSegForDSTransform2: one target per output resolution of the network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from batchgenerators.augmentations.utils import resize_segmentation
from batchgenerators.transforms.abstract_transforms import AbstractTransform


class DownsampleSegForDSTransform2(AbstractTransform):
    """Segmentation (B, C, *patch) to a list with one resized copy per scale, of the same dtype.

    Parameters
    ----------
    ds_scales : per output a factor, or one factor per axis; a scale of ones passes the input on unchanged.
    order : interpolation order of the labels, 0 for nearest neighbour.
    input_key, output_key : array to read and list to write in the batch.
    axes : array axes to resize; None for all but the first two.
    """

    def __init__(
        self,
        ds_scales: Sequence[float | Sequence[float]],
        order: int = 0,
        input_key: str = "seg",
        output_key: str = "seg",
        axes: Sequence[int] | None = None,
    ):
        self.ds_scales = ds_scales
        self.order = order
        self.input_key = input_key
        self.output_key = output_key
        self.axes = axes

    def __call__(self, **data_dict):
        seg = data_dict[self.input_key]
        axes = range(2, seg.ndim) if self.axes is None else self.axes
        data_dict[self.output_key] = [
            _resize(seg, dict(zip(axes, np.broadcast_to(scale, len(axes)))), self.order) for scale in self.ds_scales
        ]
        return data_dict


def _resize(seg: np.ndarray, scale_of_axis: dict[int, float], order: int) -> np.ndarray:
    if all(scale == 1 for scale in scale_of_axis.values()):
        return seg
    shape = tuple(round(size * float(scale_of_axis.get(axis, 1))) for axis, size in enumerate(seg.shape))
    resized = np.empty(shape, dtype=seg.dtype)
    for index in np.ndindex(seg.shape[:2]):
        resized[index] = resize_segmentation(seg[index].astype(np.float32), shape[2:], order)
    return resized
