"""Rotation range, dummy 2D, mirror axes and loaded patch follow from the final patch."""

from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.da5_pipeline import SCALE_RANGE
from nnunetv2.training.data_augmentation.patch_geometry import augmentation_geometry

# final patch, largest angle in degrees, dummy 2D, loaded patch by default, loaded patch for DA5
KNOWN = [
    ((128, 128, 128), 30, False, (205, 205, 205), (249, 249, 249)),
    ((96, 160, 160), 30, False, (191, 257, 219), (233, 312, 266)),
    ((64, 192, 160), 30, False, (178, 289, 200), (216, 351, 243)),
    ((40, 224, 192), 180, True, (40, 263, 263), (40, 320, 320)),
    ((20, 320, 256), 180, True, (20, 376, 376), (20, 457, 457)),
    ((512, 512), 180, False, (602, 602), (731, 731)),
    ((256, 224), 180, False, (301, 301), (365, 365)),
    ((512, 320), 15, False, (679, 376), (824, 457)),
]


@pytest.mark.parametrize(("patch", "degrees", "dummy_2d", "initial", "initial_da5"), KNOWN)
def test_known_patches_give_the_known_geometry(patch, degrees, dummy_2d, initial, initial_da5):
    rotation, is_dummy, size, mirror_axes = augmentation_geometry(patch)
    assert np.allclose(np.degrees(rotation), (-degrees, degrees))
    assert is_dummy is dummy_2d
    assert tuple(size) == initial
    assert mirror_axes == tuple(range(len(patch)))
    assert tuple(augmentation_geometry(patch, SCALE_RANGE)[2]) == initial_da5


@pytest.mark.parametrize(
    ("patch", "dummy_2d"), [((40, 120, 120), False), ((40, 121, 120), True), ((40, 20, 60), False)]
)
def test_dummy_2d_begins_above_a_ratio_of_three_to_axis_0(patch, dummy_2d):
    assert augmentation_geometry(patch)[1] is dummy_2d


@pytest.mark.parametrize(("patch", "degrees"), [((300, 200), 180), ((301, 200), 15)])
def test_2d_patches_turn_freely_up_to_a_ratio_of_one_and_a_half(patch, degrees):
    assert np.isclose(np.degrees(augmentation_geometry(patch)[0][1]), degrees)


def test_flat_patches_can_be_treated_as_3d():
    rotation, is_dummy, size, _ = augmentation_geometry((40, 224, 192), allow_dummy_2d=False)
    assert np.isclose(rotation[1], np.pi / 6)
    assert not is_dummy
    assert size[0] > 40


def test_patches_of_one_axis_are_refused():
    with pytest.raises(UsageError, match="2 or 3 entries"):
        augmentation_geometry((128,))
