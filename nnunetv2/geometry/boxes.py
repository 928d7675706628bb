"""Boxes in voxels: around a mask, cut out of an array, put back into one.

A box is one ``[first, end)`` pair per spatial axis, upper end excluded. Spatial axes are the last axes of an array, so
the same box fits an image (C, Z, Y, X) and a mask (Z, Y, X).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Box = Sequence[Sequence[int]]


def bounding_box(mask: np.ndarray) -> list[list[int]]:
    """Smallest box that holds every True of ``mask``, as lists of plain integers; the full extent for an empty mask."""
    box = []
    view = mask
    for axis in range(mask.ndim):
        occupied = np.flatnonzero(view.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not occupied.size:
            return [[0, length] for length in mask.shape]
        box.append([int(occupied[0]), int(occupied[-1]) + 1])
        view = view[(slice(None),) * axis + (slice(*box[-1]),)]  # later axes look only at what is left
    return box


def box_slices(box: Box) -> tuple:
    """Index of ``box`` in the last axes of an array: ``array[box_slices(box)]``."""
    return (..., *(slice(first, end) for first, end in box))


def crop(array: np.ndarray, box: Box) -> np.ndarray:
    """The part of ``array`` in ``box``; a view."""
    return array[box_slices(box)]


def insert(target: np.ndarray, part: np.ndarray, box: Box) -> np.ndarray:
    """Write ``part`` into ``target`` at ``box``, in place; what sticks out of ``target`` is left away.

    ``target`` and ``part`` may be arrays or tensors; leading axes must agree. Returns ``target``.
    Raises ValueError when ``part`` has not the size of the box.
    """
    sizes = [end - first for first, end in box]
    if list(part.shape[len(part.shape) - len(box) :]) != sizes:
        raise ValueError(f"an array of shape {tuple(part.shape)} does not fill the box {[list(b) for b in box]}")
    lengths = target.shape[len(target.shape) - len(box) :]
    inside = [(max(0, first), min(length, end)) for (first, end), length in zip(box, lengths)]
    if all(first < end for first, end in inside):
        source = [(first - b[0], end - b[0]) for (first, end), b in zip(inside, box)]
        target[box_slices(inside)] = part[box_slices(source)]
    return target
