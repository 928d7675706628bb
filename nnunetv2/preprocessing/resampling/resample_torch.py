"""Resampling with torch.nn.functional.interpolate: linear, on any device; named by the ``torchres`` plans."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn.functional import interpolate

from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_torch_threads

# Indicators are scaled by this before they become float16, which then resolves them to about 1/2000.
_SCALE = 1000
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resample_torch_fornnunet(
    data: np.ndarray | torch.Tensor,
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    is_seg: bool = False,
    num_threads: int = 4,
    device: torch.device | str = torch.device("cpu"),  # noqa: B008  a torch.device cannot be changed
    memefficient_seg_resampling: bool = False,
    force_separate_z: bool | None = None,
    separate_z_anisotropy_threshold: float = ANISO_THRESHOLD,
    mode: str = "linear",
    aniso_axis_mode: str = "nearest-exact",
) -> np.ndarray | torch.Tensor:
    """Resample (C, Z, Y, X) to ``new_shape`` by linear interpolation.

    Parameters
    ----------
    is_seg : ``data`` holds labels; the label with the largest interpolated indicator wins, the smallest among equals.
    num_threads : CPU threads of torch during the call.
    memefficient_seg_resampling : write a label where its indicator exceeds one half, in ascending order, else 0.
    mode : interpolation within the planes when an axis is separate ("linear" stands for bilinear).
    aniso_axis_mode : interpolation along the separate axis.

    Returns
    -------
    An array for an array, a tensor (on the device of ``data``) for a tensor. Images keep the input's dtype; labels come
    as int8, or int16 from label 127 on. The input itself when the shape stays.
    """
    new_shape = tuple(int(n) for n in new_shape)
    if tuple(data.shape[1:]) == new_shape:
        return data
    separate, axis = determine_do_sep_z_and_axis(
        force_separate_z, current_spacing, new_spacing, separate_z_anisotropy_threshold
    )
    device = torch.device(device)
    was_array = isinstance(data, np.ndarray)
    tensor = torch.from_numpy(np.ascontiguousarray(data)) if was_array else data
    passes = _passes(tensor.shape[1:], new_shape, axis if separate else None, mode, aniso_axis_mode)
    with torch.no_grad(), borrowed_torch_threads(num_threads if device.type == "cpu" else None):
        result = tensor.to(device)
        for shape, folded_axis, how in passes:
            if is_seg:
                result = _resize_labels(result, shape, folded_axis, how, memefficient_seg_resampling)
            else:
                result = _resize(result.float(), shape, folded_axis, how)
        if not is_seg:
            result = result.to(tensor.dtype)
    return result.cpu().numpy() if was_array else result.to(data.device)


def _passes(
    old_shape: Sequence[int], new_shape: tuple[int, ...], axis: int | None, mode: str, axis_mode: str
) -> list[tuple[tuple[int, ...], int | None, str]]:
    """What to do in which order: (shape to reach, axis whose planes are independent or None, mode)."""
    if axis is None:
        return [(new_shape, None, "linear")]
    in_plane = tuple(old_shape[axis] if a == axis else n for a, n in enumerate(new_shape))
    return [(in_plane, axis, mode), (new_shape, None, axis_mode)]


def _resize(data: torch.Tensor, shape: tuple[int, ...], folded_axis: int | None, mode: str) -> torch.Tensor:
    """Interpolate (C, Z, Y, X) to (C, *shape). Planes across ``folded_axis`` count as channels."""
    if tuple(data.shape[1:]) == shape:
        return data
    if folded_axis is None:
        return _interpolate(data[None], shape, mode)[0]
    front = data.movedim(folded_axis + 1, 1)
    plane = tuple(n for a, n in enumerate(shape) if a != folded_axis)
    resized = _interpolate(front.flatten(0, 1)[None], plane, mode)[0]
    return resized.unflatten(0, tuple(front.shape[:2])).movedim(1, folded_axis + 1)


def _interpolate(batch: torch.Tensor, shape: tuple[int, ...], mode: str) -> torch.Tensor:
    if mode == "linear":
        mode = _LINEAR[len(shape)]
    if mode in _LINEAR.values():
        return interpolate(batch, size=shape, mode=mode, align_corners=False, antialias=False)
    return interpolate(batch, size=shape, mode=mode)


def _resize_labels(
    seg: torch.Tensor, shape: tuple[int, ...], folded_axis: int | None, mode: str, memory_efficient: bool
) -> torch.Tensor:
    """Labels (C, Z, Y, X), resized one label at a time."""
    labels = torch.unique(seg)  # ascending
    dtype = torch.int8 if labels.max() < 127 else torch.int16
    result = torch.zeros((seg.shape[0], *shape), dtype=dtype, device=seg.device)
    if memory_efficient:
        for label in labels:
            result[_resize((seg == label).float(), shape, folded_axis, mode) > 0.5] = label.to(dtype)
        return result
    best = torch.full(result.shape, -1, dtype=torch.float16, device=seg.device)
    for label in labels:
        score = _resize((seg == label).float() * _SCALE, shape, folded_axis, mode).half()
        wins = score > best  # strictly: the smallest of equals stays
        best[wins] = score[wins]
        result[wins] = label.to(dtype)
    return result
