"""How large a patch to load so that its rotated and scaled version still covers the final patch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnunetv2.errors import UsageError

Angle = float | Sequence[float]

_QUARTER_TURN = np.pi / 2


def get_patch_size(
    final_patch_size: Sequence[int],
    rot_x: Angle,
    rot_y: Angle,
    rot_z: Angle,
    scale_range: Sequence[float],
) -> np.ndarray:
    """Size of the patch to load (voxels, int64, one entry per axis) for a final patch of 2 or 3 axes.

    Parameters
    ----------
    final_patch_size : voxels per axis, in array order.
    rot_x, rot_y, rot_z : angle, or range of angles, about array axes 0, 1, 2 (radians); the largest magnitude counts,
        at most a quarter turn. A 2D patch uses ``rot_x`` only.
    scale_range : the smallest factor enlarges the patch; factors above 1 do not.

    The patch vector is turned about one axis at a time, and each entry is the largest magnitude met there. Combined
    rotations and diagonals are not covered; existing plans and trainers count on exactly these sizes.

    Raises UsageError for a patch that is neither 2D nor 3D.
    """
    patch = np.asarray(final_patch_size, dtype=np.float64)
    if patch.shape == (2,):
        turned = [_turn_pair(patch, (0, 1), _largest(rot_x))]
    elif patch.shape == (3,):
        planes = ((1, 2), (2, 0), (0, 1))
        turned = [_turn_pair(patch, plane, _largest(angle)) for plane, angle in zip(planes, (rot_x, rot_y, rot_z))]
    else:
        raise UsageError(f"a patch size has 2 or 3 entries, got {list(final_patch_size)}")
    return (np.max([patch, *turned], axis=0) / min(scale_range)).astype(np.int64)


def _largest(angle: Angle) -> float:
    return min(float(np.max(np.abs(angle))), _QUARTER_TURN)


def _turn_pair(patch: np.ndarray, plane: tuple[int, int], angle: float) -> np.ndarray:
    """Magnitudes of the row vector ``patch`` after multiplication with the rotation matrix of ``plane``."""
    first, second = plane
    sine, cosine = np.sin(angle), np.cos(angle)
    turned = patch.copy()
    turned[first] = abs(patch[first] * cosine + patch[second] * sine)
    turned[second] = abs(patch[second] * cosine - patch[first] * sine)
    return turned
