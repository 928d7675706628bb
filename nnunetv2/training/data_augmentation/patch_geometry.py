"""What the shape of the patch decides about augmentation: rotation range, dummy 2D, mirror axes, patch to load."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size

# The range the loaded patch is enlarged for. It is narrower than the range of the spatial transform, so strongly
# scaled patches contain padding; results of nnU-Net depend on it.
SCALE_RANGE_OF_INITIAL_PATCH = (0.85, 1.25)

# A 2D patch longer than this factor times its width is turned by small angles only.
_ELONGATED = 1.5

RotationRange = tuple[float, float]


def rotation_range(patch_size: Sequence[int], dummy_2d: bool) -> RotationRange:
    """Lowest and highest rotation angle in radians, for each axis (the plane of axes 1 and 2 with ``dummy_2d``)."""
    if len(patch_size) == 2:
        limit = np.pi / 12 if max(patch_size) / min(patch_size) > _ELONGATED else np.pi
    else:
        limit = np.pi if dummy_2d else np.pi / 6
    return -limit, limit


def needs_dummy_2d(patch_size: Sequence[int]) -> bool:
    """Whether a 3D patch is so flat along axis 0 that it is transformed slice by slice within its plane."""
    return len(patch_size) == 3 and max(patch_size) / patch_size[0] > ANISO_THRESHOLD


def augmentation_geometry(
    patch_size: Sequence[int],
    scale_range: Sequence[float] = SCALE_RANGE_OF_INITIAL_PATCH,
    allow_dummy_2d: bool = True,
) -> tuple[RotationRange, bool, np.ndarray, tuple[int, ...]]:
    """``(rotation range in radians, dummy 2D, initial patch size in voxels, mirror axes)`` for a final patch size.

    ``patch_size`` has 2 or 3 entries in array order. ``allow_dummy_2d=False`` treats flat patches like any other.
    Raises UsageError for other lengths.
    """
    if len(patch_size) not in (2, 3):
        raise UsageError(f"a patch size has 2 or 3 entries, got {list(patch_size)}")
    dummy_2d = allow_dummy_2d and needs_dummy_2d(patch_size)
    rotation = rotation_range(patch_size, dummy_2d)
    initial = get_patch_size(patch_size, rotation, rotation, rotation, scale_range)
    if dummy_2d:
        initial[0] = patch_size[0]
    return rotation, dummy_2d, initial, tuple(range(len(patch_size)))
