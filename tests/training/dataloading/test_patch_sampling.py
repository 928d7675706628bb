"""Which samples are forced to foreground, where patches lie, and how they are cut out."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd

from nnunetv2.errors import DatasetError
from nnunetv2.training.dataloading.patch_sampling import (
    crop_with_padding,
    foreground_class,
    is_forced_by_chance,
    is_forced_by_position,
    select_box,
    start_range,
)

SHAPE, PATCH, NEED = (40, 60, 50), (48, 48, 48), (16, 16, 16)
ANNOTATED = (-1, 0, 1, 2)


def voxels(*rows):
    return np.array([[0, *row] for row in rows])


def boxes(n=400, seed=0, **changes):
    arguments = {
        "shape": SHAPE,
        "patch_size": PATCH,
        "need_to_pad": NEED,
        "force_foreground": False,
        "class_locations": None,
        **changes,
    }
    rng = np.random.RandomState(seed)
    return np.array([select_box(rng=rng, **arguments) for _ in range(n)])  # (n, 2, 3)


@pytest.mark.parametrize(("batch", "forced"), [(2, 1), (3, 1), (4, 1), (5, 2), (8, 3), (9, 3), (12, 4)])
def test_the_last_third_of_a_batch_is_forced(batch, forced):
    flags = [is_forced_by_position(sample, batch, 0.33) for sample in range(batch)]
    assert flags == [False] * (batch - forced) + [True] * forced


@pytest.mark.parametrize(("fraction", "expected"), [(0, False), (1, True)])
def test_the_extreme_fractions_force_none_and_all(fraction, expected):
    assert {is_forced_by_position(sample, 4, fraction) for sample in range(4)} == {expected}


def test_forcing_by_chance_follows_the_fraction():
    rng = np.random.RandomState(1)
    assert abs(np.mean([is_forced_by_chance(0.33, rng) for _ in range(4000)]) - 0.33) < 0.03


@pytest.mark.parametrize(
    ("shape", "patch", "need", "low", "high"),
    [
        (40, 48, 16, -8, 0),
        (60, 48, 16, -8, 20),
        (50, 48, 16, -8, 10),
        (10, 48, 16, -19, -19),  # smaller than the patch even with padding: centred
        (11, 48, 16, -19, -18),  # an odd remainder leaves two starts
        (60, 48, 15, -8, 20),  # odd: rounded up on both sides
        (100, 48, 0, 0, 52),
        (1, 1, 0, 0, 0),
    ],
)
def test_range_of_random_starts(shape, patch, need, low, high):
    lowest, highest = start_range([shape], [patch], [need])
    assert (lowest[0], highest[0]) == (low, high)


def test_random_boxes_cover_their_range_and_nothing_else():
    found = boxes(3000)
    assert found[:, 0].min(0).tolist() == [-8, -8, -8]
    assert found[:, 0].max(0).tolist() == [0, 20, 10]
    assert np.all(found[:, 1] - found[:, 0] == 48)
    assert np.abs(np.corrcoef(found[:, 0].T) - np.eye(3)).max() < 0.1


def test_forced_boxes_are_bounded_below_but_not_above():
    corners = {1: voxels((0, 0, 0), (39, 59, 49))}
    starts = boxes(200, force_foreground=True, class_locations=corners)[:, 0]
    assert np.unique(starts, axis=0).tolist() == [[-8, -8, -8], [15, 35, 25]]


def test_forced_boxes_are_centred_on_a_voxel_of_the_class():
    start, stop = select_box(
        (200, 200, 200), (32, 33, 34), (0, 0, 0), True, {1: voxels((100, 101, 102))}, np.random.RandomState(0)
    )
    assert start == [100 - 16, 101 - 16, 102 - 17]
    assert stop == [100 + 16, 101 + 17, 102 + 17]


def test_classes_are_equally_likely_whatever_their_size():
    locations = {1: voxels(*[(20, 30, 20)] * 1000), 2: voxels((20, 30, 30)), 3: []}
    rng = np.random.RandomState(2)
    drawn = [foreground_class(locations, rng) for _ in range(2000)]
    assert abs(drawn.count(1) / 2000 - 0.5) < 0.05
    assert set(drawn) == {1, 2}


@pytest.mark.parametrize("locations", [{}, {1: [], 2: []}])
def test_a_case_without_foreground_gets_random_boxes(locations):
    forced = boxes(50, force_foreground=True, class_locations=locations)
    assert np.array_equal(forced, boxes(50))


def test_forcing_without_stored_locations_is_an_error():
    with pytest.raises(DatasetError, match="class_locations"):
        boxes(1, force_foreground=True, class_locations=None)


@pytest.mark.parametrize("key", [ANNOTATED, ANNOTATED[1:]])
def test_with_an_ignore_label_unforced_boxes_follow_annotated_voxels(key):
    locations = {1: voxels((5, 5, 5)), key: voxels((39, 59, 49))}
    starts = boxes(20, class_locations=locations, annotated_key=ANNOTATED)[:, 0]
    assert np.unique(starts, axis=0).tolist() == [[15, 35, 25]]


@pytest.mark.parametrize("key", [ANNOTATED, ANNOTATED[1:]])
def test_with_an_ignore_label_forced_boxes_prefer_real_classes(key):
    locations = {1: voxels((20, 30, 30)), key: voxels((39, 59, 49))}
    forced = {"force_foreground": True, "annotated_key": ANNOTATED}
    assert np.unique(boxes(20, class_locations=locations, **forced)[:, 0], axis=0).tolist() == [[-4, 6, 6]]
    only_annotated = {1: [], key: locations[key]}
    assert np.unique(boxes(20, class_locations=only_annotated, **forced)[:, 0], axis=0).tolist() == [[15, 35, 25]]


def test_a_case_without_annotated_voxels_gets_a_random_box_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        found = boxes(5, class_locations={ANNOTATED: []}, annotated_key=ANNOTATED)
    assert np.array_equal(found, boxes(5))
    assert "no annotated voxels" in caplog.text


def test_a_given_class_is_taken_where_the_case_has_it():
    locations = {1: voxels((20, 30, 20)), 2: voxels((20, 30, 30))}
    rng = np.random.RandomState(0)
    assert {foreground_class(locations, rng, overwrite_class=2) for _ in range(20)} == {2}
    assert {foreground_class({1: locations[1], 2: []}, rng, overwrite_class=2) for _ in range(20)} == {1}


@pytest.mark.parametrize("seed", range(25))
def test_cropping_with_padding_equals_the_library(seed):
    rng = np.random.RandomState(seed)
    array = rng.uniform(size=(2, *rng.randint(5, 12, 3))).astype(np.float32)
    start = [int(rng.randint(-4, n - 1)) for n in array.shape[1:]]
    stop = [max(low, 0) + int(rng.randint(1, 14)) for low in start]
    expected = crop_and_pad_nd(array, [list(pair) for pair in zip(start, stop)], -1)
    assert np.array_equal(crop_with_padding(array, start, stop, -1, np.float32), expected)


def test_unsigned_labels_can_be_padded_with_minus_one():
    out = crop_with_padding(np.full((2, 2), 200, dtype=np.uint8), (-1, 0), (1, 3), -1, np.int16)
    assert out.tolist() == [[-1, -1, -1], [200, 200, -1]]
    assert out.dtype == np.int16


def test_a_box_outside_the_image_is_all_padding():
    assert crop_with_padding(np.ones((1, 3, 3)), (5, 0), (7, 2), -1, np.int16).tolist() == [[[-1, -1], [-1, -1]]]


def test_the_crop_is_independent_of_its_source():
    source = np.zeros((1, 4, 4), dtype=np.float32)
    crop_with_padding(source, (0, 0), (4, 4), 0, np.float32)[:] = 1
    assert not source.any()
