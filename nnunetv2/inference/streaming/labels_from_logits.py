"""From logits, one channel at a time, to labels: memory does not grow with the number of channels.

The stock rules of LabelManager applied voxel by voxel: the largest channel wins, the first one on ties; or, for
regions, every region with a probability above one half writes its label, later regions over earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch

from nnunetv2.utilities.label_handling.label_handling import LabelManager


def label_dtype(label_manager: LabelManager) -> type:
    """uint8, or uint16 when there are 255 or more foreground labels or a label of 255 or more."""
    small = len(label_manager.foreground_labels) < 255 and max(label_manager.all_labels) < 255
    return np.uint8 if small else np.uint16


def follows_stock_rules(label_manager: LabelManager) -> bool:
    """Whether labels may be computed channel by channel.

    False for a label manager of somebody else that replaces one of the conversions, or for another nonlinearity in
    region-based models (for plain labels the nonlinearity plays no part: logits are compared).
    """
    conversions = ("convert_logits_to_segmentation", "convert_probabilities_to_segmentation", "apply_inference_nonlin")
    if any(getattr(type(label_manager), name) is not getattr(LabelManager, name) for name in conversions):
        return False
    if any(name in vars(label_manager) for name in conversions):
        return False
    if not label_manager.has_regions:
        return True
    stock = LabelManager(label_manager.label_dict, label_manager.regions_class_order)
    return label_manager.inference_nonlin in (stock.inference_nonlin, torch.sigmoid)


def argmax_of_channels(channels: Iterable[torch.Tensor], dtype: type) -> np.ndarray:
    """Index of the largest of ``channels`` (each (Z, Y, X)) per voxel; the lowest index on ties.

    Equals ``numpy.argmax`` of the stacked channels. Memory: two channels, one mask, the result.
    """
    labels, best = None, None
    for index, channel in enumerate(channels):
        if best is None:
            # A copy, since the channel may be a view into the caller's logits.
            best, labels = channel.clone(), np.zeros(tuple(channel.shape), dtype=dtype)
            continue
        np.putmask(labels, torch.gt(channel, best).numpy(), index)
        torch.maximum(best, channel, out=best)
    return labels


def regions_of_channels(
    channels: Iterable[torch.Tensor],
    labels_of_regions: Sequence[int],
    to_probabilities: Callable[[torch.Tensor], torch.Tensor],
    dtype: type,
) -> np.ndarray:
    """Label map (Z, Y, X): where the probability of region ``i`` exceeds 0.5 its label is written, in order.

    The test is made on float32 probabilities. A logit above zero is not enough: the sigmoid of a tiny one is 0.5.
    """
    labels = None
    for channel, label in zip(channels, labels_of_regions):
        if labels is None:
            labels = np.zeros(tuple(channel.shape), dtype=dtype)
        np.putmask(labels, torch.gt(to_probabilities(channel), 0.5).numpy(), int(label))
    return labels


def labels_of_largest(channels: Iterable[torch.Tensor], label_manager: LabelManager) -> np.ndarray:
    """Label map (Z, Y, X), for plain labels: the value in files of the largest of ``channels`` (each (Z, Y, X))."""
    values = label_manager.values
    if values.is_identity:
        return argmax_of_channels(channels, label_dtype(label_manager))
    dense = argmax_of_channels(channels, label_dtype(label_manager.dense))
    return values.to_original(dense).astype(label_dtype(label_manager), copy=False)


def labels_of_channels(channels: Iterable[torch.Tensor], label_manager: LabelManager) -> np.ndarray:
    """Label map (Z, Y, X) from resampled logit channels; see ``follows_stock_rules`` for which label managers."""
    if not label_manager.has_regions:
        return labels_of_largest(channels, label_manager)
    dtype = label_dtype(label_manager)
    return regions_of_channels(channels, label_manager.regions_class_order, label_manager.apply_inference_nonlin, dtype)
