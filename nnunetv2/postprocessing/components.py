"""Connected components: which voxels of a label or region do not belong to its largest one."""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np

from nnunetv2.errors import ImageError

LabelsOrRegions = int | Sequence[int | Sequence[int]]

_FULL_CONNECTIVITY = 26  # voxels that share a face, an edge or a corner


def union_mask(segmentation: np.ndarray, labels_or_regions: LabelsOrRegions) -> np.ndarray:
    """Boolean array: voxels with this label, or with any label of this region or of these labels and regions."""
    flat = _labels_in(labels_or_regions)
    return segmentation == flat[0] if len(flat) == 1 else np.isin(segmentation, flat)


def _labels_in(item: LabelsOrRegions) -> list[int]:
    if isinstance(item, (int, np.integer)):
        return [int(item)]
    return [label for part in item for label in _labels_in(part)]


def outside_largest_components(mask: np.ndarray) -> np.ndarray:
    """Boolean array: the voxels of ``mask`` that belong to none of its largest connected components.

    Voxels are connected through faces, edges and corners (26 neighbours in 3D, 8 in 2D). All components of the maximum
    size are kept. ``mask`` has one to three axes longer than 1; more raise ImageError.
    """
    outside = np.zeros(mask.shape, dtype=bool)
    box = _bounding_box(mask)
    if box is None:
        return outside
    part = np.squeeze(mask[box])
    if part.ndim > 3:
        raise ImageError(f"components are found in up to three dimensions; this mask has shape {mask.shape}")
    part = np.ascontiguousarray(part.reshape((1,) * (3 - part.ndim) + part.shape), dtype=np.uint8)
    components = cc3d.connected_components(part, connectivity=_FULL_CONNECTIVITY)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    small = sizes < sizes.max()
    small[0] = False
    outside[box] = small[components].reshape(outside[box].shape)
    return outside


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...] | None:
    """Smallest box that holds all voxels of ``mask``, since most structures fill little of an image; None if empty."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(i for i in range(mask.ndim) if i != axis)
        used = np.flatnonzero(mask.any(axis=others))
        if not used.size:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)
