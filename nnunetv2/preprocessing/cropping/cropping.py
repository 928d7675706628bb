"""The nonzero mask of an image and cropping to it."""

from __future__ import annotations

import cc3d
import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.geometry.boxes import bounding_box, crop

# Below this share of the volume background is followed voxel by voxel from the border, which then takes less time and
# far less memory than numbering its components. CT has a zero here and there in soft tissue.
_SPARSE = 0.02


def create_nonzero_mask(data: np.ndarray) -> np.ndarray:
    """Where any channel is not zero, holes filled.

    ``data`` is (C, Z, Y, X) or (C, Y, X); the result has the spatial shape, bool. A hole is background that no path
    through face neighbours connects to the border of the array; so in an array with an axis of length 1 nothing is
    filled, because every voxel lies on the border.
    """
    return _filled(_nonzero(data))


def crop_to_nonzero(
    data: np.ndarray, seg: np.ndarray | None = None, nonzero_label: int = -1
) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Crop to the box around everything that is not zero, and mark the outside in the segmentation.

    Parameters
    ----------
    data : (C, Z, Y, X); an image of zeros only is not cropped.
    seg : (1, Z, Y, X) or None.
    nonzero_label : written where the nonzero mask is False and ``seg`` is 0; other labels stay.

    Returns
    -------
    data, cropped (a view); seg, cropped (a copy; int8 with 0 and ``nonzero_label`` if there was none); the box as a
    list of ``[first, end]`` per spatial axis. Raises ImageError when the spatial shapes differ.
    """
    if seg is not None and seg.shape[1:] != data.shape[1:]:
        raise ImageError(
            f"the image has shape {data.shape[1:]}, its segmentation {seg.shape[1:]}; they must cover the same voxels"
        )
    mask = _nonzero(data)
    box = bounding_box(mask)
    # Filling after cropping gives the same mask: outside the box all is background and connected to the border.
    inside = _filled(crop(mask, box))
    del mask
    data = crop(data, box)
    if seg is None:
        return data, np.where(inside[None], np.int8(0), np.int8(nonzero_label)), box
    seg = np.array(crop(seg, box), order="C")
    for plane, part in zip(np.moveaxis(seg, 1, 0), inside):  # one at a time: no arrays of the size of the image
        if not part.all():
            plane[(plane == 0) & ~part] = nonzero_label
    return data, seg, box


def _nonzero(data: np.ndarray) -> np.ndarray:
    """Where any channel is not zero (NaN is not zero), one channel at a time to save memory."""
    if data.ndim not in (3, 4):
        raise ImageError(f"an image of shape {data.shape} cannot be cropped; (C, Y, X) or (C, Z, Y, X) is needed")
    mask = data[0] != 0
    for channel in data[1:]:
        mask |= channel != 0
    return mask


def _filled(mask: np.ndarray) -> np.ndarray:
    """``mask`` with its holes set: background components that touch no face of the array."""
    background = mask.size - int(np.count_nonzero(mask))
    if not background or 1 in mask.shape:
        return mask
    if background <= _SPARSE * mask.size:
        return ~_reached_from_outside(np.ascontiguousarray(mask))
    connectivity = {2: 4, 3: 6}[mask.ndim]
    components, count = cc3d.connected_components(~mask, connectivity=connectivity, return_N=True, binary_image=True)
    fills = np.ones(count + 1, dtype=bool)  # component 0 is the mask itself
    for axis in range(mask.ndim):
        for end in (0, -1):
            fills[np.unique(np.take(components, end, axis=axis))] = False
    fills[0] = True
    return fills[components]


def _reached_from_outside(mask: np.ndarray) -> np.ndarray:
    """Where ``mask`` (C-contiguous) is False and face neighbours lead to the border of the array, by breadth first."""
    reached = np.zeros(mask.shape, dtype=bool)
    is_mask, is_reached = mask.reshape(-1), reached.reshape(-1)
    numbers = [_face_indices(mask.shape, axis, end) for axis in range(mask.ndim) for end in (0, -1)]
    front = np.unique(np.concatenate([flat[~is_mask[flat]] for flat in numbers]))
    while front.size:
        is_reached[front] = True
        found = []
        for axis, position in enumerate(np.unravel_index(front, mask.shape)):
            stride = int(np.prod(mask.shape[axis + 1 :]))
            found += [front[position > 0] - stride, front[position < mask.shape[axis] - 1] + stride]
        next_to_it = np.concatenate(found)
        front = np.unique(next_to_it[~(is_mask[next_to_it] | is_reached[next_to_it])])
    return reached


def _face_indices(shape: tuple[int, ...], axis: int, end: int) -> np.ndarray:
    """Flat indices of the voxels on one face of an array, 1D."""
    index = [np.arange(n) for n in shape]
    index[axis] = index[axis][[end]]
    return np.ravel_multi_index(np.ix_(*index), shape).reshape(-1)
