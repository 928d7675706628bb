import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2.geometry.boxes import bounding_box, box_slices, crop, insert


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 7)] * 3))
def test_bounding_box_is_the_range_of_the_true_coordinates(seed, shape):
    mask = np.random.RandomState(seed).rand(*shape) > 0.9
    where = np.argwhere(mask)
    expected = [[0, n] for n in shape]
    if len(where):
        expected = [[int(a), int(b) + 1] for a, b in zip(where.min(0), where.max(0))]
    assert bounding_box(mask) == expected


def test_box_of_an_empty_mask_is_everything():
    assert bounding_box(np.zeros((3, 4), dtype=bool)) == [[0, 3], [0, 4]]


def test_crop_then_insert_gives_the_array_back():
    array = np.random.RandomState(0).rand(2, 6, 7, 8)
    box = [[1, 4], [0, 7], [3, 5]]
    target = np.zeros_like(array)
    assert insert(target, crop(array, box), box) is target
    assert np.array_equal(crop(target, box), crop(array, box))
    target[box_slices(box)] = 0
    assert not target.any()


def test_crop_is_a_view_of_the_last_axes():
    array = np.zeros((2, 5, 5))
    crop(array, [[0, 2], [0, 2]])[...] = 1
    assert array.sum() == 8


def test_insert_leaves_away_what_sticks_out():
    target = np.zeros((4, 4), dtype=int)
    insert(target, np.arange(9).reshape(3, 3), [[-1, 2], [2, 5]])
    assert target.tolist() == [[0, 0, 3, 4], [0, 0, 6, 7], [0] * 4, [0] * 4]


def test_insert_outside_changes_nothing():
    target = np.zeros((4, 4))
    insert(target, np.ones((2, 2)), [[5, 7], [0, 2]])
    assert not target.any()


def test_insert_refuses_a_part_of_another_size():
    with pytest.raises(ValueError, match="does not fill the box"):
        insert(np.zeros((4, 4)), np.ones((2, 3)), [[0, 2], [0, 2]])
