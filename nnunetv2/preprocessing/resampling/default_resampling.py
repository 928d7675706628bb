"""Resampling of images, probabilities and segmentations to another shape; the functions that plans name.

Spacings are in mm and in the axis order of the array; arrays are (C, Z, Y, X), in any axis order.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.errors import ImageError
from nnunetv2.preprocessing.resampling.image_resampling import resize_stack, resize_volume
from nnunetv2.preprocessing.resampling.label_resampling import resize_label_stack, resize_labels
from nnunetv2.preprocessing.resampling.new_shape import compute_new_shape

if TYPE_CHECKING:
    import torch

__all__ = [
    "compute_new_shape",
    "determine_do_sep_z_and_axis",
    "get_do_separate_z",
    "get_lowres_axis",
    "resample_data_or_seg",
    "resample_data_or_seg_to_shape",
    "resample_data_or_seg_to_spacing",
]


def get_do_separate_z(spacing: Sequence[float], anisotropy_threshold: float = ANISO_THRESHOLD) -> bool:
    """Whether the largest spacing exceeds the smallest by more than the factor ``anisotropy_threshold``."""
    return bool(np.max(spacing) / np.min(spacing) > anisotropy_threshold)


def get_lowres_axis(spacing: Sequence[float]) -> np.ndarray:
    """Axes that have the largest spacing (exact comparison)."""
    return np.flatnonzero(np.asarray(spacing) == np.max(spacing))


def determine_do_sep_z_and_axis(
    force_separate_z: bool | None,
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    separate_z_anisotropy_threshold: float = ANISO_THRESHOLD,
) -> tuple[bool, int | None]:
    """Whether one axis is resampled separately from the other two, and which.

    ``force_separate_z`` True takes the axis of lowest resolution of the current spacing, False none. None decides: the
    lowest-resolution axis of the current spacing if that is anisotropic, else the same for the new spacing. Two or
    three axes of equally low resolution mean that no axis is separate.
    """
    if force_separate_z is None:
        anisotropic = [
            s for s in (current_spacing, new_spacing) if get_do_separate_z(s, separate_z_anisotropy_threshold)
        ]
        candidates = get_lowres_axis(anisotropic[0]) if anisotropic else []
    else:
        candidates = get_lowres_axis(current_spacing) if force_separate_z else []
    return (True, int(candidates[0])) if len(candidates) == 1 else (False, None)


def resample_data_or_seg_to_spacing(
    data: np.ndarray | torch.Tensor,
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    order: int = 3,
    order_z: int = 0,
    force_separate_z: bool | None = False,
    separate_z_anisotropy_threshold: float = ANISO_THRESHOLD,
) -> np.ndarray:
    """Resample to ``new_spacing``; the shape follows from ``compute_new_shape``. Else as the function for shapes."""
    new_shape = compute_new_shape(data.shape[1:], current_spacing, new_spacing)
    return resample_data_or_seg_to_shape(
        data,
        new_shape,
        current_spacing,
        new_spacing,
        is_seg,
        order,
        order_z,
        force_separate_z,
        separate_z_anisotropy_threshold,
    )


def resample_data_or_seg_to_shape(
    data: np.ndarray | torch.Tensor,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    order: int = 3,
    order_z: int = 0,
    force_separate_z: bool | None = False,
    separate_z_anisotropy_threshold: float = ANISO_THRESHOLD,
) -> np.ndarray:
    """Resample to ``new_shape``; the spacings only decide whether one axis is treated separately.

    Parameters
    ----------
    data : (C, Z, Y, X), array or tensor; never modified.
    is_seg : interpolate indicators of the labels and take the best, instead of interpolating values.
    order : interpolation within the planes, or in 3D if no axis is separate: 0, 1 or 3 (others work, slowly).
    order_z : interpolation along the separate axis.

    Returns
    -------
    (C, *new_shape) array in the dtype of ``data``; ``data`` itself when the shape stays.
    """
    separate, axis = determine_do_sep_z_and_axis(
        force_separate_z, current_spacing, new_spacing, separate_z_anisotropy_threshold
    )
    return resample_data_or_seg(data, new_shape, is_seg, axis, order, separate, order_z)


def resample_data_or_seg(
    data: np.ndarray | torch.Tensor,
    new_shape: Sequence[int],
    is_seg: bool = False,
    axis: int | None = None,
    order: int = 3,
    do_separate_z: bool = False,
    order_z: int = 0,
    dtype_out: np.dtype | type | None = None,
) -> np.ndarray:
    """Resample with the decision about a separate axis already made. ``dtype_out`` defaults to the dtype of ``data``.

    Raises ImageError if ``data`` is not (C, Z, Y, X), or the new shape has not three positive lengths.
    """
    torch = sys.modules.get("torch")  # where it is not loaded nothing can be a tensor
    if torch is not None and isinstance(data, torch.Tensor):
        data = data.detach().cpu()
        data = (data.float() if data.dtype == torch.bfloat16 else data).numpy()
    new_shape = tuple(int(n) for n in new_shape)
    if data.ndim != 4 or len(new_shape) != 3:
        raise ImageError(f"resampling takes (C, Z, Y, X) and a new shape of 3, not {data.shape} and {new_shape}")
    if min(new_shape) < 1:
        raise ImageError(
            f"resampling {data.shape[1:]} to {new_shape} would leave no voxels; the image is thinner than the target "
            "spacing, or a spacing is wrong"
        )
    if do_separate_z and axis is None:
        raise ImageError("one axis is to be resampled separately, but none is named (axis)")
    if data.shape[1:] == new_shape:
        return data
    result = np.empty((len(data), *new_shape), dtype=data.dtype if dtype_out is None else dtype_out)
    for channel, target in zip(data, result):
        if do_separate_z:
            # The separate axis goes to the front; these are views, so results land in the right place.
            channel, target = np.moveaxis(channel, axis, 0), np.moveaxis(target, axis, 0)
            if is_seg:
                target[...] = resize_label_stack(channel, target.shape, order, order_z)
            else:
                resize_stack(channel, target, order, order_z)
        elif is_seg:
            target[...] = resize_labels(channel, new_shape, order)
        else:
            resize_volume(channel, target, order)
    return result
