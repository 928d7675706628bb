"""Labels at points between voxels: the label with the largest linearly interpolated membership.

Almost everywhere the voxels around a point carry one label, which then is the answer; memberships are only computed
where they differ. The rule is that of batchgeneratorsv2's SpatialTransform (``mode_seg="bilinear"``): outside the image
lies ``outside``, memberships are compared in float16 after multiplication by 1000, the nearest voxel's label wins ties
it takes part in, the smallest label all others. Results differ at most where memberships are equal but for rounding.

Legend: D axes of space; a "cell" is the cube between 2^D neighbouring voxels, numbered by its lowest voxel; "padded"
arrays have one more voxel of ``outside`` at either end of each axis.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch.nn import functional

# Memberships are compared as float16 numbers of up to this size, spaced 0.25 to 0.5 where two labels can be equal.
_SCALE = 1000.0

# What is computed about so many voxels or points fits into a core's cache.
_VOXELS_AT_ONCE = 2**18
_POINTS_AT_ONCE = 2**15
_MIXED_AT_ONCE = 2**12

DTYPES = (torch.int8, torch.int16)


def sample_labels(labels: torch.Tensor, grid: torch.Tensor, outside: int, align_corners: bool = False) -> torch.Tensor:
    """Labels (C, *patch) of the map ``labels`` (C, *spatial), of one of ``DTYPES``, at the points of ``grid``.

    ``grid`` is float (*patch, D) with the convention of ``torch.nn.functional.grid_sample``: last axis of space first,
    -1 to 1 from edge to edge, or between the outermost centres with ``align_corners``.
    """
    axes = labels.ndim - 1
    padded = functional.pad(labels, (1, 1) * axes, value=outside)
    cells, points = _labels_of_cells(padded), grid.reshape(-1, axes)
    result = labels.new_empty((len(labels), len(points)))
    for part, values in zip(points.split(_POINTS_AT_ONCE), result.split(_POINTS_AT_ONCE, 1)):
        values[:] = cells.index_select(1, _cells_around(part, labels.shape[1:], align_corners))
    channels, which = (result == _mixed(labels.dtype)).nonzero(as_tuple=True)
    for channel, point in zip(channels.split(_MIXED_AT_ONCE), which.split(_MIXED_AT_ONCE)):
        places = voxel_coordinates(points[point], labels.shape[1:], align_corners)
        result[channel, point] = _decide(padded, channel, places)
    return result.view(len(labels), *grid.shape[:-1])


def voxel_coordinates(points: torch.Tensor, shape: Sequence[int], align_corners: bool = False) -> torch.Tensor:
    """Points (n, D) in the convention of ``grid_sample`` as voxel coordinates (D, n), first axis of space first."""
    coordinates = points.new_empty((len(shape), len(points)))
    for row, column, size in zip(coordinates, reversed(points.unbind(1)), shape):
        torch.add(column, 1, out=row)
        if align_corners:
            row.mul_((size - 1) / 2)
        else:
            row.mul_(size).sub_(1).div_(2)
    return coordinates


def _mixed(dtype: torch.dtype) -> int:
    """Stands for "several labels"; where it is a label itself, memberships are computed although they need not be."""
    return torch.iinfo(dtype).min


def _labels_of_cells(padded: torch.Tensor) -> torch.Tensor:
    """The label that all corners of a cell have, or ``_mixed``, (C, n).

    Cells have the indices of their lowest corners in a flattened channel of ``padded`` (C, *S); those that would begin
    with the last voxel of an axis hold anything.
    """
    flat, strides = padded.flatten(1), padded.stride()[1:]
    cells = flat.new_empty((len(flat), flat.shape[1] - sum(strides)))
    step, mixed = max(1, _VOXELS_AT_ONCE // len(flat)), _mixed(padded.dtype)
    for part in cells.split(step, 1):
        start = part.storage_offset() - cells.storage_offset()
        lowest = highest = flat[:, start : start + part.shape[1] + sum(strides)]
        for stride in strides:
            lowest = torch.minimum(lowest[:, :-stride], lowest[:, stride:])
            highest = torch.maximum(highest[:, :-stride], highest[:, stride:])
        # Integers wrap around, so this is the label or, where corners differ, the code; boolean masks are slower.
        alike = torch.eq(lowest, highest, out=highest)
        torch.add(lowest.sub_(mixed).mul_(alike), mixed, out=part)
    return cells


def _cells_around(points: torch.Tensor, shape: Sequence[int], align_corners: bool) -> torch.Tensor:
    """Index (n,) int32 of the cell around each point (n, D), as in ``_labels_of_cells``; ``shape`` is not padded.

    Points on a face between two cells, but for rounding, may get either: both have the voxels that count.
    """
    index = torch.zeros(len(points), dtype=torch.int32, device=points.device)
    for column, size in zip(reversed(points.unbind(1)), shape):
        half = (size - align_corners) / 2
        lowest = torch.mul(column, half).add_((size - 1) / 2 + 1).clamp_(0, size)
        index.mul_(size + 2).add_(lowest.int())
    return index


def _corner_terms(lowest: torch.Tensor, shape: Sequence[int], step: int) -> list[torch.Tensor]:
    """Per axis (n,) int64, what sums up to the index of the corner ``lowest + step`` (D, n) in a padded channel."""
    terms, stride = [], 1
    for along_axis, size in zip(reversed(lowest), reversed(shape)):
        terms.append(along_axis.add(1 + step).clamp_(0, size - 1).long().mul_(stride))
        stride *= size
    return terms[::-1]


def _decide(padded: torch.Tensor, channels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Labels (n,) with the largest membership at the voxel coordinates ``places`` (D, n) in the channels (n,)."""
    lowest = places.floor()
    corners = list(itertools.product((0, 1), repeat=len(places)))
    index = [_corner_terms(lowest, padded.shape[1:], step) for step in (0, 1)]
    weight = [(lowest + 1).sub_(places), places - lowest]
    flat, first = padded.view(-1), channels * padded[0].numel()
    labels = torch.stack([flat[sum((index[up][axis] for axis, up in enumerate(c)), first)] for c in corners]).float()
    # The order of these products and sums is that of grid_sample, last axis first, so that they round alike.
    weights = [math.prod(weight[up][axis] for axis, up in reversed(list(enumerate(c)))) * _SCALE for c in corners]
    scores, alike = torch.zeros_like(labels), torch.empty_like(labels)
    for label, of_corner in zip(labels, weights):
        scores.addcmul_(torch.eq(labels, label, out=alike), of_corner)
    scores = scores.half().float()
    best = scores.amax(0)
    smallest = labels.masked_fill(scores != best, torch.inf).amin(0)
    nearest = sum(up * 2**axis for axis, up in enumerate(reversed((places.round() - lowest).long())))[None]
    wins_ties = scores.gather(0, nearest)[0] == best
    return torch.where(wins_ties, labels.gather(0, nearest)[0], smallest).to(padded.dtype)
