"""Transforms of the second cascade stage: labels of the previous stage as input channels, and their degradation.

Batches are dicts of arrays (B, C, *patch). The random parts draw from ``numpy.random``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from acvl_utils.morphology.morphology_helper import label_with_component_sizes
from batchgenerators.transforms.abstract_transforms import AbstractTransform
from skimage.morphology import ball, disk

from nnunetv2.training.data_augmentation.custom_transforms.binary_operators import (
    closing,
    dilation,
    erosion,
    opening,
)

BinaryOperator = Callable[[np.ndarray, np.ndarray], np.ndarray]
Channels = int | Sequence[int]


class MoveSegAsOneHotToData(AbstractTransform):
    """Append one image channel per label of a segmentation channel, 1 where it has that label.

    Parameters
    ----------
    index_in_origin : segmentation channel to convert.
    all_labels : labels in the order of the new channels.
    key_origin, key_target : arrays to read from and to append to.
    remove_from_origin : drop the converted channel from the segmentation.
    """

    def __init__(
        self,
        index_in_origin: int,
        all_labels: Sequence[int],
        key_origin: str = "seg",
        key_target: str = "data",
        remove_from_origin: bool = True,
    ):
        self.index_in_origin = index_in_origin
        self.all_labels = all_labels
        self.key_origin = key_origin
        self.key_target = key_target
        self.remove_from_origin = remove_from_origin

    def __call__(self, **data_dict):
        origin, target = data_dict[self.key_origin], data_dict[self.key_target]
        labels = origin[:, self.index_in_origin]
        one_hot = np.stack([labels == label for label in self.all_labels], axis=1).astype(target.dtype)
        data_dict[self.key_target] = np.concatenate([target, one_hot], axis=1)
        if self.remove_from_origin:
            data_dict[self.key_origin] = np.delete(origin, self.index_in_origin, axis=1)
        return data_dict


class ApplyRandomBinaryOperatorTransform(AbstractTransform):
    """Dilate, erode, close or open one-hot channels, in place.

    Voxels that a channel gains are cleared in the other channels; voxels it loses belong to no channel.

    Parameters
    ----------
    channel_idx : channels of the one-hot encoding, visited in random order.
    p_per_sample : chance of a sample to be changed.
    any_of_these : functions ``(mask, structuring element) -> mask`` to choose from.
    key : array to change.
    strel_size : range of the radius of the ball (disk in 2D), in voxels.
    p_per_label : chance of each channel of a changed sample.
    """

    def __init__(
        self,
        channel_idx: Channels,
        p_per_sample: float = 0.3,
        any_of_these: Sequence[BinaryOperator] = (dilation, erosion, closing, opening),
        key: str = "data",
        strel_size: tuple[float, float] = (1, 10),
        p_per_label: float = 1,
    ):
        self.channel_idx = _as_list(channel_idx)
        self.p_per_sample = p_per_sample
        self.any_of_these = any_of_these
        self.key = key
        self.strel_size = strel_size
        self.p_per_label = p_per_label

    def __call__(self, **data_dict):
        for sample in data_dict[self.key]:
            if np.random.uniform() >= self.p_per_sample:
                continue
            for channel in np.random.permutation(self.channel_idx):
                if np.random.uniform() < self.p_per_label:
                    operator = self.any_of_these[np.random.choice(len(self.any_of_these))]
                    self._change(sample, channel, operator, np.random.uniform(*self.strel_size))
        return data_dict

    def _change(self, sample: np.ndarray, channel: int, operator: BinaryOperator, radius: float) -> None:
        before = sample[channel].astype(bool)
        element = (disk if before.ndim == 2 else ball)(radius, dtype=bool)
        after = operator(before, element).astype(bool)
        sample[channel] = after
        gained = after & ~before
        for other in self.channel_idx:
            if other != channel:
                sample[other][gained] = 0


class RemoveRandomConnectedComponentFromOneHotEncodingTransform(AbstractTransform):
    """Erase one connected component per chosen one-hot channel, or give it to another class, in place.

    Parameters
    ----------
    channel_idx : channels of the one-hot encoding, visited in order.
    key : array to change.
    p_per_sample : chance of a sample to be changed.
    fill_with_other_class_p : chance that an erased component is set in another channel.
    dont_do_if_covers_more_than_x_percent : components of at least this share (0 to 1) of the patch are left alone.
    p_per_label : chance of each channel of a changed sample.
    """

    def __init__(
        self,
        channel_idx: Channels,
        key: str = "data",
        p_per_sample: float = 0.2,
        fill_with_other_class_p: float = 0.25,
        dont_do_if_covers_more_than_x_percent: float = 0.25,
        p_per_label: float = 1,
    ):
        self.channel_idx = _as_list(channel_idx)
        self.key = key
        self.p_per_sample = p_per_sample
        self.fill_with_other_class_p = fill_with_other_class_p
        self.dont_do_if_covers_more_than_x_percent = dont_do_if_covers_more_than_x_percent
        self.p_per_label = p_per_label

    def __call__(self, **data_dict):
        for sample in data_dict[self.key]:
            if np.random.uniform() >= self.p_per_sample:
                continue
            for channel in self.channel_idx:
                if np.random.uniform() < self.p_per_label:
                    self._remove_one(sample, channel)
        return data_dict

    def _remove_one(self, sample: np.ndarray, channel: int) -> None:
        mask = sample[channel].astype(bool)
        if not mask.any():
            return
        components, sizes = label_with_component_sizes(mask)
        limit = mask.size * self.dont_do_if_covers_more_than_x_percent
        candidates = [component for component, size in sizes.items() if size < limit]
        if not candidates:
            return
        removed = components == np.random.choice(candidates)
        sample[channel][removed] = 0
        others = [other for other in self.channel_idx if other != channel]
        if others and np.random.uniform() < self.fill_with_other_class_p:
            sample[np.random.choice(others)][removed] = 1


def _as_list(channels: Channels) -> list[int]:
    return [channels] if isinstance(channels, int) else list(channels)
