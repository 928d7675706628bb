"""The search for the low resolution stage."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.experiment_planners.lowres import coarsened, search_lowres


def test_only_fine_axes_are_coarsened_while_axes_differ():
    assert coarsened(np.array([5.0, 1.0, 2.5])).tolist() == [5.0, 1.03, 2.5]
    assert coarsened(np.array([2.0, 1.0, 1.5])).tolist() == [2.0 * 1.03, 1.03, 1.5 * 1.03]


def search(shape, patch, calls=None):
    def plan(spacing, median, voxels):
        if calls is not None:
            calls.append((spacing, median, voxels))
        return {"patch_size": patch, "spacing": spacing, "median": median}

    return search_lowres(np.array([1.0, 1.0, 1.0]), np.array(shape, dtype=float), patch, 7, 0.25, plan)


def test_images_that_a_patch_covers_need_no_low_resolution():
    calls = []
    assert search((100, 100, 100), (64, 64, 64), calls) is None
    assert calls == []


def test_too_small_a_reduction_is_not_worth_a_stage():
    assert search((100, 100, 100), (60, 60, 60)) is None


def test_the_spacing_grows_by_repeated_multiplication_until_a_patch_covers_a_quarter():
    calls = []
    found = search((400, 400, 400), (128, 128, 128), calls)
    expected = np.ones(3)
    for spacing, median, voxels in calls:
        expected = expected * 1.03
        assert spacing.tolist() == expected.tolist()
        assert median == tuple(round(400 / s) for s in spacing)
        assert voxels == pytest.approx(7 * np.prod(400 / spacing))
    assert found["spacing"].tolist() == expected.tolist()
    assert 128**3 / np.prod(400 / expected) >= 0.25 > 128**3 / np.prod(400 / (expected / 1.03))
