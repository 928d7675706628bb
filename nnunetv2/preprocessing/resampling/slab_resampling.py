"""Resampling a run of output slices at a time, from only the input slices it needs.

The numbers are those of ``image_resampling``: the same matrices in the same order of axes, so a volume that is too
large to hold can be resampled piece by piece. Volumes are (Z, Y, X) tensors on any device; runs follow the first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from nnunetv2.geometry.interpolation import nearest_indices, operator_blocks, operator_rows
from nnunetv2.preprocessing.resampling.default_resampling import (
    determine_do_sep_z_and_axis,
    resample_data_or_seg_to_shape,
)

_Blocks = list[tuple[slice, slice, torch.Tensor]]


class SlabResampler:
    """Resizes (Z, Y, X) volumes of one shape to another, run by run along Z.

    Parameters
    ----------
    old_shape, new_shape : of the whole volumes.
    order : 1 (linear) or 3 (cubic spline, not clipped to the range of the volume; that is the caller's part).
    separate_axis : this axis takes the nearest sample instead.
    device : where the volumes are.
    """

    def __init__(
        self,
        old_shape: Sequence[int],
        new_shape: Sequence[int],
        order: int,
        separate_axis: int | None,
        device: torch.device,
    ):
        self.old_shape = tuple(int(n) for n in old_shape)
        self.new_shape = tuple(int(n) for n in new_shape)
        self.order = order
        self.separate_axis = separate_axis
        self.device = device
        self.axes = _order_of_axes(self.old_shape, self.new_shape, separate_axis)

    @property
    def planes_first(self) -> bool:
        """Whether whole input planes are resized before the first axis, so that short runs repeat work."""
        return len(self.axes) > 1 and self.axes[-1] == 0

    def sources(self, first: int, end: int) -> tuple[int, int]:
        """First and last (excluded) input slice that output slices ``first`` to ``end`` depend on."""
        if self.old_shape[0] == self.new_shape[0]:
            return first, end
        if self.separate_axis == 0:
            nearest = nearest_indices(self.old_shape[0], self.new_shape[0])[first:end]
            return int(nearest[0]), int(nearest[-1]) + 1
        columns = operator_rows(self.old_shape[0], self.new_shape[0], 1, first, end).columns
        reach = 13 if self.order == 3 else 0  # what operator_rows adds for splines
        return max(0, columns.start - reach), min(self.old_shape[0], columns.stop + reach)

    def run(self, first: int, end: int) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from the input slices ``sources(first, end)``, floating point, to output slices of float32."""
        steps = [self._step(axis, first, end) for axis in self.axes]

        def resized(part: torch.Tensor) -> torch.Tensor:
            part = part.float()
            for step in steps:
                part = step(part)
            return part

        return resized

    def _step(self, axis: int, first: int, end: int) -> Callable[[torch.Tensor], torch.Tensor]:
        old, new = self.old_shape[axis], self.new_shape[axis]
        if axis == self.separate_axis:
            index = torch.from_numpy(nearest_indices(old, new).copy())
            if axis == 0:
                index = index[first:end] - self.sources(first, end)[0]
            index = index.to(self.device)
            return lambda part: part.index_select(axis, index)
        if axis == 0:
            weights = torch.from_numpy(operator_rows(old, new, self.order, first, end).weights.astype(np.float32))
            weights = weights.to(self.device)
            return lambda part: (weights @ part.reshape(len(part), -1)).view(-1, *part.shape[1:])
        blocks = _plane_blocks(old, new, self.order, axis == 2, self.device)
        resize = _resize_columns if axis == 2 else _resize_rows
        return lambda part: resize(part, new, blocks)


def _order_of_axes(old: tuple[int, ...], new: tuple[int, ...], separate: int | None) -> list[int]:
    """Axes that change, in the order in which ``image_resampling`` treats them."""
    if separate is not None:
        planes = [axis for axis in (0, 1, 2) if axis != separate]
        order = [separate, planes[1], planes[0]]
    elif old[1:] != new[1:] and old[0] * new[1] * new[2] < new[0] * old[1] * old[2]:
        order = [2, 1, 0]
    else:
        order = [0, 2, 1]
    return [axis for axis in order if old[axis] != new[axis]]


@lru_cache(maxsize=32)
def _plane_blocks(old: int, new: int, order: int, transposed: bool, device: torch.device) -> _Blocks:
    found = []
    for block in operator_blocks(old, new, order):
        weights = torch.from_numpy(block.weights.astype(np.float32))
        found.append((block.rows, block.columns, (weights.T.contiguous() if transposed else weights).to(device)))
    return found


def _resize_columns(part: torch.Tensor, length: int, blocks: _Blocks) -> torch.Tensor:
    """The last axis of (Z, Y, X)."""
    flat = part.reshape(-1, part.shape[2])
    result = flat.new_empty((len(flat), length))
    for new, old, weights in blocks:
        torch.mm(flat[:, old], weights, out=result[:, new])
    return result.view(*part.shape[:2], length)


def _resize_rows(part: torch.Tensor, length: int, blocks: _Blocks) -> torch.Tensor:
    """The middle axis of (Z, Y, X)."""
    result = part.new_empty((len(part), length, part.shape[2]))
    for new, old, weights in blocks:
        torch.bmm(weights.expand(len(part), -1, -1), part[:, old], out=result[:, new])
    return result


def stock_settings(function: Any, allowed_orders: Sequence[int]) -> dict | None:
    """Keyword arguments of a resampling function of the plans (a partial) that can work run by run, else None.

    That is ``resample_data_or_seg_to_shape`` for values (not labels) with an order in ``allowed_orders``, and the
    nearest sample along a separate axis.
    """
    if getattr(function, "func", None) is not resample_data_or_seg_to_shape or getattr(function, "args", ()):
        return None
    settings = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": False} | dict(function.keywords)
    unknown = set(settings) - {"is_seg", "order", "order_z", "force_separate_z", "separate_z_anisotropy_threshold"}
    if unknown or settings["is_seg"] or settings["order"] not in allowed_orders or settings["order_z"] != 0:
        return None
    return settings


def stock_resampler(
    settings: dict,
    old_shape: Sequence[int],
    new_shape: Sequence[int],
    current_spacing: Sequence[float],
    new_spacing: Sequence[float],
    device: torch.device,
) -> SlabResampler:
    """The resampler that does what the function with these ``stock_settings`` does."""
    threshold = settings.get("separate_z_anisotropy_threshold")
    options = {} if threshold is None else {"separate_z_anisotropy_threshold": threshold}
    _, axis = determine_do_sep_z_and_axis(settings["force_separate_z"], current_spacing, new_spacing, **options)
    return SlabResampler(old_shape, new_shape, settings["order"], axis, device)
