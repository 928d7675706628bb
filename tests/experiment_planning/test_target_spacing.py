"""Target spacing, axis order and median shape."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.experiment_planners.target_spacing import (
    fullres_target_spacing,
    median_resampled_shape,
    transposition,
)

SHAPE = (20, 200, 220)


def target(z_spacings, shape=SHAPE):
    return fullres_target_spacing([(z, 1.0, 1.1) for z in z_spacings], [shape] * len(z_spacings), 3)


def test_it_is_the_median_for_similar_axes():
    assert target([1.0, 2.0, 3.0]).tolist() == [2.0, 1.0, 1.1]


def test_a_coarse_axis_gets_a_low_percentile():
    z = [4.0, 5.0, 5.0, 6.0, 6.0]
    assert target(z)[0] == np.percentile(z, 10)


def test_a_coarse_axis_never_gets_finer_than_the_others():
    assert target([0.5, 0.5, 5.0, 6.0, 6.0]).tolist() == [1.1 + 1e-5, 1.0, 1.1]


def test_both_conditions_are_strict():
    exact = 3 * 1.1
    assert target([exact, exact, exact, 0.9])[0] == exact
    assert target([5.0, 5.0, 4.0], shape=(70, 210, 220))[0] == 5.0
    assert target([5.0, 5.0, 4.0], shape=(69, 210, 220))[0] < 5.0


@pytest.mark.parametrize(
    ("spacing", "forward", "backward"),
    [((1, 1, 1), [0, 1, 2], [0, 1, 2]), ((1, 3, 2), [1, 0, 2], [1, 0, 2]), ((0.75, 0.75, 2.2), [2, 0, 1], [1, 2, 0])],
)
def test_the_coarsest_axis_comes_first(spacing, forward, backward):
    assert transposition(spacing) == (forward, backward)
    array = np.zeros((3, 4, 5))
    assert array.transpose(forward).transpose(backward).shape == array.shape


def test_transposition_can_be_suppressed():
    assert transposition((1, 1, 9), suppress=True) == ([0, 1, 2], [0, 1, 2])


def test_the_median_shape_may_end_in_a_half():
    shape = median_resampled_shape([(2, 1, 1), (1, 1, 1)], [(10, 7, 8), (21, 8, 8)], (1, 1, 1))
    assert shape.tolist() == [20.5, 7.5, 8.0]
