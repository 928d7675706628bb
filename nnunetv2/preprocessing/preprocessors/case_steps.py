"""Steps of preprocessing one case that need neither plans nor files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError


def transposed(
    data: np.ndarray, seg: np.ndarray | None, properties: Mapping[str, Any], axes: Sequence[int]
) -> tuple[np.ndarray, np.ndarray | None, list[float], dict[str, Any]]:
    """Views of ``data`` and ``seg`` with permuted spatial axes, the spacing in that order, a copy of ``properties``."""
    spacing = [float(value) for value in properties["spacing"]]
    if data.ndim != 4 or len(spacing) != 3:
        raise ImageError(f"image of shape {data.shape}, spacing {spacing}; (C, Z, Y, X) and three numbers are needed")
    if seg is not None and seg.shape[1:] != data.shape[1:]:
        raise ImageError(
            f"the image has shape {data.shape[1:]}, its segmentation {seg.shape[1:]}; they must cover the same voxels"
        )
    order = (0, *(axis + 1 for axis in axes))
    seg = None if seg is None else seg.transpose(order)
    return data.transpose(order), seg, [spacing[axis] for axis in axes], dict(properties)


def target_spacing(configured: Sequence[float], original: Sequence[float]) -> list[float]:
    """Target spacing with three values: slices of a 2D configuration keep their own distance."""
    missing = len(original) - len(configured)
    return [*original[:missing], *(float(value) for value in configured)]


def classes_to_sample(label_manager: Any) -> list[int | tuple[int, ...]]:
    """Foreground regions or labels; with an ignore label also everything that is annotated."""
    entries = label_manager.foreground_regions if label_manager.has_regions else label_manager.foreground_labels
    classes = [tuple(entry) if isinstance(entry, (tuple, list)) else int(entry) for entry in entries]
    if label_manager.has_ignore_label:
        classes.append((-1, *(int(label) for label in label_manager.all_labels)))
    return classes


def require_labels(seg: np.ndarray) -> None:
    """Raise ImageError if a label map holds NaN or infinity, which have no integer to stand for them."""
    if seg.dtype.kind == "f" and not np.isfinite(seg).all():
        count = int(np.count_nonzero(~np.isfinite(seg)))
        raise ImageError(f"the segmentation has {count} voxels that are NaN or infinite. Correct the label map")


def as_small_integers(seg: np.ndarray) -> np.ndarray:
    """``seg`` as int8, or int16 where a label exceeds 127. Raises ImageError beyond int16."""
    largest, limit = seg.max(), np.iinfo(np.int16).max
    if largest > limit:
        raise ImageError(f"the segmentation has label {largest:g}; labels up to {limit} can be stored")
    return seg.astype(np.int16 if largest > 127 else np.int8, copy=False)
