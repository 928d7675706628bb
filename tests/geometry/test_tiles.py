import itertools
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from nnunetv2.geometry.tiles import gaussian_importance, padding_to_tile, tile_slicers, tile_starts


@pytest.mark.parametrize(
    ("length", "step", "expected"),
    [(110, 0.5, [0, 23, 46]), (65, 0.5, [0, 1]), (100, 1, [0, 36]), (64, 0.5, [0])],
)
def test_tile_starts_of_the_worked_examples(length, step, expected):
    assert tile_starts(length, 64, step) == expected


def test_tile_starts_equal_the_formula_with_halves_rounded_to_even():
    rng = np.random.RandomState(0)
    halves = 0
    for _ in range(2000):
        tile = rng.randint(1, 80)
        length = tile + rng.randint(0, 200)
        step = rng.uniform(0.05, 1)
        steps = math.ceil((length - tile) / (tile * step)) + 1
        distance = (length - tile) / (steps - 1) if steps > 1 else 0
        halves += any((i * distance) % 1 == 0.5 for i in range(steps))
        assert tile_starts(length, tile, step) == [int(np.round(i * distance)) for i in range(steps)]
    assert halves > 100, "the rounding of halves was not exercised"


def test_tiles_cover_every_voxel_and_stay_inside():
    for length, tile, step in [(7, 7, 1), (13, 5, 0.5), (200, 64, 0.9), (9, 4, 0.1)]:
        starts = tile_starts(length, tile, step)
        covered = np.zeros(length, dtype=bool)
        for start in starts:
            covered[start : start + tile] = True
        assert covered.all()
        assert starts[-1] + tile == length
        assert max(np.diff(starts), default=0) <= math.ceil(tile * step)


@pytest.mark.parametrize("step", [0, -0.5, 1.01])
def test_a_step_outside_0_to_1_is_refused_as_assertion_and_value_error(step):
    for kind in (AssertionError, ValueError):
        with pytest.raises(kind, match="tile_step_size"):
            tile_starts(10, 5, step)


def test_an_image_smaller_than_the_tile_is_refused():
    with pytest.raises(ValueError, match="pad the image"):
        tile_starts(4, 5, 0.5)


def test_slicers_run_over_the_last_axis_fastest():
    slicers = tile_slicers((6, 4, 9), (4, 4, 6), 0.5)
    starts = [[s.start for s in slicer[1:]] for slicer in slicers]
    assert starts == [list(p) for p in itertools.product((0, 2), (0,), (0, 3))]
    image = np.zeros((2, 6, 4, 9))
    assert {image[slicer].shape for slicer in slicers} == {(2, 4, 4, 6)}


def test_a_2d_tile_goes_over_every_slice_of_a_volume():
    slicers = tile_slicers((3, 8, 5), (4, 5), 1)
    assert [slicer[1] for slicer in slicers] == [0, 0, 1, 1, 2, 2]
    assert np.zeros((1, 3, 8, 5))[slicers[0]].shape == (1, 4, 5)


def test_a_tile_that_lacks_two_dimensions_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        tile_slicers((3, 8, 5), (4,), 1)


def test_padding_is_centred_and_the_odd_voxel_goes_behind():
    assert padding_to_tile((10, 5, 8), (8, 8, 8)) == [(0, 0), (1, 2), (0, 0)]


def test_padding_for_a_2d_tile_leaves_the_first_axis_alone():
    assert padding_to_tile((1, 5, 8), (8, 11)) == [(0, 0), (1, 2), (1, 2)]


@pytest.mark.parametrize("size", [(8, 12, 5), (9,), (16, 7)])
def test_importance_equals_the_filtered_impulse_bit_for_bit(size):
    impulse = np.zeros(size)
    impulse[tuple(n // 2 for n in size)] = 1
    expected = gaussian_filter(impulse, [n / 8 for n in size], mode="constant", cval=0)
    np.testing.assert_array_equal(gaussian_importance(size), expected)
