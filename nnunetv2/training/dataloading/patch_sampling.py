"""Where training patches are taken from: which samples must show foreground, and the box each patch covers.

Pure functions; the random generator is an argument with the methods ``random_sample``, ``randint`` and ``choice``
(``numpy.random.RandomState``, or the module ``numpy.random`` for the global stream).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError

logger = logging.getLogger(__name__)

Array = Any  # numpy array, blosc2 array or memory map: anything with shape, dtype and slicing
ClassKey = int | tuple[int, ...]
ClassLocations = Mapping[ClassKey, Sequence]


def is_forced_by_position(sample: int, batch_size: int, fraction: float) -> bool:
    """Whether the sample at this position of the batch must show foreground; true for the last ones of the batch."""
    return sample >= round(batch_size * (1 - fraction))


def is_forced_by_chance(fraction: float, rng: Any) -> bool:
    """Whether a sample must show foreground, with probability ``fraction``."""
    return bool(rng.random_sample() < fraction)


def start_range(
    shape: Sequence[int], patch_size: Sequence[int], need_to_pad: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest start (both inclusive, voxels) of a random patch per axis.

    ``need_to_pad`` is how far patches may reach past the image in total, half of it on either side; where the image
    is still smaller than the patch it grows to what is missing.
    """
    shape, patch, need = (np.asarray(values, dtype=np.int64) for values in (shape, patch_size, need_to_pad))
    need = np.where(need + shape < patch, patch - shape, need)
    beyond = (need + 1) // 2
    return -beyond, shape + beyond - patch


def random_start(lowest: np.ndarray, highest: np.ndarray, rng: Any) -> list[int]:
    """A start drawn uniformly and independently per axis."""
    return [int(rng.randint(low, high + 1)) for low, high in zip(lowest, highest)]


def start_around(voxel: Sequence[int], patch_size: Sequence[int], lowest: np.ndarray) -> list[int]:
    """Start of the patch centred on ``voxel``; bounded below by ``lowest``, not bounded above.

    Near the upper border such patches therefore reach past the image by up to half their size. nnU-Net trains this way.
    """
    return [max(int(low), int(v) - int(size) // 2) for v, size, low in zip(voxel, patch_size, lowest)]


def stored_annotated_key(class_locations: ClassLocations, annotated_key: tuple[int, ...]) -> tuple[int, ...]:
    """``annotated_key`` as this case stores it: preprocessed before nnU-Net 2.6 it lacks the leading -1."""
    older = annotated_key[1:]
    return older if annotated_key not in class_locations and older in class_locations else annotated_key


def foreground_class(
    class_locations: ClassLocations,
    rng: Any,
    annotated_key: tuple[int, ...] | None = None,
    overwrite_class: ClassKey | None = None,
) -> ClassKey | None:
    """A class with stored voxels, every class equally likely whatever its size; None when there is none.

    The annotated voxels of a data set with an ignore label count as a class only if nothing else is there.
    ``overwrite_class`` is taken instead of a draw where the case has it.
    """
    eligible: list[ClassKey] = [key for key, voxels in class_locations.items() if len(voxels)]
    if annotated_key is not None:
        eligible = [key for key in eligible if key != annotated_key] or eligible
    if overwrite_class is not None and overwrite_class in eligible:
        return overwrite_class
    return eligible[rng.choice(len(eligible))] if eligible else None


def select_box(
    shape: Sequence[int],
    patch_size: Sequence[int],
    need_to_pad: Sequence[int],
    force_foreground: bool,
    class_locations: ClassLocations | None,
    rng: Any,
    annotated_key: tuple[int, ...] | None = None,
    overwrite_class: ClassKey | None = None,
) -> tuple[list[int], list[int]]:
    """``(start, stop)`` in voxels per axis, half open, of one patch; may reach past the image.

    Parameters
    ----------
    shape, patch_size : spatial sizes of the image and of the patch, in the same axes.
    need_to_pad : see ``start_range``.
    force_foreground : centre the patch on a stored voxel of some class.
    class_locations : class or region to rows ``(channel, axis 0, axis 1, ...)`` of voxel indices.
    annotated_key : key of all annotated voxels if the data set has an ignore label, else None; then patches that are
        not forced are centred on one of these.
    overwrite_class : class to force where present.

    Raises DatasetError when foreground is asked for and the case stores no class locations.
    """
    lowest, highest = start_range(shape, patch_size, need_to_pad)
    if annotated_key is not None:
        annotated_key = stored_annotated_key(class_locations or {}, annotated_key)
    key = None
    if force_foreground:
        if class_locations is None:
            raise DatasetError(
                "foreground patches need the class_locations of the case, which its properties lack; "
                "preprocess the data set with its segmentations"
            )
        key = foreground_class(class_locations, rng, annotated_key, overwrite_class)
    elif annotated_key is not None:
        if class_locations is not None and len(class_locations.get(annotated_key, ())):
            key = annotated_key
        else:
            logger.warning("a case has an ignore label but no annotated voxels; a random patch is used")
    if key is None:
        start = random_start(lowest, highest, rng)
    else:
        voxels = class_locations[key]
        start = start_around(voxels[rng.choice(len(voxels))][1:], patch_size, lowest)
    return start, [low + int(size) for low, size in zip(start, patch_size)]


def crop_with_padding(array: Array, start: Sequence[int], stop: Sequence[int], fill: float, dtype: Any) -> np.ndarray:
    """Part [start, stop) of the last axes of ``array`` as a new array of ``dtype``; ``fill`` where it lies outside.

    Leading axes are kept. Only the part inside is read, so compressed and memory-mapped arrays are decoded no further.
    """
    leading = array.ndim - len(start)
    spatial = array.shape[leading:]
    inside = [(max(low, 0), min(high, size)) for low, high, size in zip(start, stop, spatial)]
    kept = tuple(slice(None) for _ in range(leading))
    size = [high - low for low, high in zip(start, stop)]
    if [high - low for low, high in inside] == size:
        part = array[kept + tuple(slice(low, high) for low, high in inside)]
        # Stores give arrays of their own, which need no copy; a view would let transforms change the case.
        return part if part.flags.owndata and part.dtype == dtype else part.astype(dtype)
    result = np.full((*array.shape[:leading], *size), fill, dtype=dtype)
    if all(low < high for low, high in inside):
        target = tuple(slice(low - first, high - first) for (low, high), first in zip(inside, start))
        result[kept + target] = array[kept + tuple(slice(low, high) for low, high in inside)]
    return result
