"""The patch to load covers the final patch turned about one axis at a time."""

from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size


def rotation_matrices(x, y, z):
    """The rotation matrices about array axes 0, 1 and 2, written out."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    return (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]),
        np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]),
        np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]]),
    )


def naive_patch_size(patch, angles, smallest_scale):
    patch = np.array(patch, dtype=float)
    largest = patch.copy()
    for matrix in rotation_matrices(*angles):
        largest = np.maximum(largest, np.abs(patch @ matrix))
    return (largest / smallest_scale).astype(int)


@pytest.mark.parametrize("seed", range(20))
def test_3d_sizes_equal_those_from_rotation_matrices(seed):
    rng = np.random.RandomState(seed)
    patch, angles = rng.randint(8, 200, 3), rng.uniform(0, np.pi / 2, 3)
    assert get_patch_size(patch, *angles, (0.85, 1.25)).tolist() == naive_patch_size(patch, angles, 0.85).tolist()


def test_2d_sizes_use_the_first_angle_only():
    angle = np.pi / 12
    patch = np.array([512.0, 320.0])
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = (np.maximum(patch, np.abs(patch @ matrix)) / 0.85).astype(int)
    assert get_patch_size((512, 320), angle, 1.0, 1.0, (0.85, 1.25)).tolist() == expected.tolist() == [679, 376]


def test_of_a_range_the_largest_magnitude_counts():
    assert np.array_equal(
        get_patch_size((30, 40, 50), (-0.4, 0.1), 0, 0, (0.8, 1)), get_patch_size((30, 40, 50), 0.4, 0, 0, (0.8, 1))
    )


def test_angles_count_up_to_a_quarter_turn():
    assert get_patch_size((30, 60), np.pi, 0, 0, (1, 1)).tolist() == [60, 60]


def test_scaling_up_alone_changes_nothing():
    assert get_patch_size((30, 60), 0, 0, 0, (1, 3)).tolist() == [30, 60]


def test_a_patch_with_four_axes_is_refused():
    with pytest.raises(UsageError, match="2 or 3 entries"):
        get_patch_size((1, 2, 3, 4), 0, 0, 0, (1, 1))
