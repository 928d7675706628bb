"""Voxels outside the largest components, against a flood fill written for this test."""

import itertools

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.postprocessing.components import outside_largest_components, union_mask


def components_by_flood_fill(mask):
    """Sets of voxels that are connected by faces, edges and corners."""
    left = {tuple(index) for index in np.argwhere(mask).tolist()}
    steps = [step for step in itertools.product((-1, 0, 1), repeat=mask.ndim) if any(step)]
    found = []
    while left:
        todo, component = [left.pop()], set()
        while todo:
            voxel = todo.pop()
            component.add(voxel)
            for step in steps:
                other = tuple(a + b for a, b in zip(voxel, step))
                if other in left:
                    left.remove(other)
                    todo.append(other)
        found.append(component)
    return found


@pytest.mark.parametrize("shape", [(9, 14, 11), (1, 14, 11), (14, 11), (1, 7, 8, 6), (40,)])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_all_voxels_but_those_of_the_largest_components_are_outside(shape, density):
    mask = np.random.RandomState(1).uniform(size=shape) < density
    components = components_by_flood_fill(mask)
    largest = max(map(len, components), default=0)
    expected = np.zeros(shape, dtype=bool)
    for component in components:
        if len(component) < largest:
            expected[tuple(np.array(sorted(component)).T)] = True
    np.testing.assert_array_equal(outside_largest_components(mask), expected)


def test_components_of_equal_size_are_both_kept():
    mask = np.zeros((3, 9, 9), dtype=bool)
    mask[1, 1:3, 1:3] = mask[1, 6:8, 6:8] = mask[0, 0, 8] = True
    assert np.argwhere(outside_largest_components(mask)).tolist() == [[0, 0, 8]]


@pytest.mark.parametrize("touching", [(1, 1, 1), (0, 1, 1), (0, 0, 1), (1, -1, 1)])
def test_voxels_that_touch_by_a_face_an_edge_or_a_corner_belong_together(touching):
    mask = np.zeros((5, 5, 5), dtype=bool)
    mask[2, 2, 2] = True
    mask[tuple(2 + np.array(touching))] = True
    mask[0, 0, 0] = mask[4, 4, 4] = False
    mask[2, 4, 0] = True
    assert np.argwhere(outside_largest_components(mask)).tolist() == [[2, 4, 0]]


def test_an_empty_mask_has_nothing_outside_and_a_full_one_neither():
    assert not outside_largest_components(np.zeros((3, 4, 5), dtype=bool)).any()
    assert not outside_largest_components(np.ones((3, 4, 5), dtype=bool)).any()
    assert outside_largest_components(np.zeros((0, 4, 5), dtype=bool)).shape == (0, 4, 5)


def test_four_long_axes_are_refused():
    with pytest.raises(ImageError, match="three dimensions"):
        outside_largest_components(np.ones((2, 2, 2, 2), dtype=bool))


@pytest.mark.parametrize(
    ("wanted", "labels"),
    [(2, [2]), (np.int64(2), [2]), ((1, 3), [1, 3]), ([1, 3], [1, 3]), ([1, (2, 3)], [1, 2, 3]), ([], [])],
)
def test_masks_of_labels_regions_and_lists_of_both(wanted, labels):
    segmentation = np.arange(5)
    for array in (segmentation, segmentation.astype(np.float32), segmentation.astype(np.uint8)):
        assert np.flatnonzero(union_mask(array, wanted)).tolist() == labels
