"""Every resampling function that plans can name goes through the same checks; a new file in the room is covered."""

from __future__ import annotations

import inspect
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from nnunetv2.preprocessing import resampling
from nnunetv2.preprocessing.resampling.no_resampling import no_resampling_hack
from nnunetv2.preprocessing.resampling.utils import recursive_find_resampling_fn_by_name
from tests.families import members_below

PARAMETERS = ["data", "new_shape", "current_spacing", "new_spacing"]
FUNCTIONS = members_below(
    resampling,
    lambda member: inspect.isfunction(member) and list(inspect.signature(member).parameters)[:4] == PARAMETERS,
)
every_function = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
SHAPE, LARGER, MIXED = (5, 12, 9), (8, 15, 13), (10, 7, 9)
every_shape = pytest.mark.parametrize("new_shape", [LARGER, MIXED])
SPACINGS = {"isotropic": ((1, 1, 1), (1, 1, 1)), "thick slices": ((5, 1, 1), (2, 1, 1))}
every_spacing = pytest.mark.parametrize("spacings", SPACINGS.values(), ids=list(SPACINGS))


def shape_after(function, new_shape):
    """The one function that does not resample leaves the shape as it is; all others give the one asked for."""
    return SHAPE if function is no_resampling_hack else tuple(new_shape)


@pytest.fixture
def images():
    return np.random.RandomState(0).uniform(-100, 300, (2, *SHAPE)).astype(np.float32)


@pytest.fixture
def labels():
    """Labels in blocks, -1 outside the mask."""
    blocks = np.random.RandomState(1).choice([-1, 0, 1, 7], (1, 3, 6, 5))
    return blocks.repeat(2, 1).repeat(2, 2).repeat(2, 3)[:, : SHAPE[0], : SHAPE[1], : SHAPE[2]].astype(np.int8)


def test_the_family_is_found():
    assert {function.__name__ for function in FUNCTIONS} >= {
        "resample_data_or_seg_to_shape",
        "resample_torch_fornnunet",
        "no_resampling_hack",
    }


@every_function
def test_it_is_found_by_its_name_and_can_be_sent_to_a_worker_process(function, images):
    assert recursive_find_resampling_fn_by_name(function.__name__) is function
    bound = pickle.loads(pickle.dumps(partial(function, is_seg=False)))
    assert bound(images, LARGER, *SPACINGS["isotropic"]).shape == (2, *shape_after(function, LARGER))


@every_function
@every_shape
@every_spacing
def test_images_get_the_shape_asked_for_and_keep_channels_dtype_and_range(function, new_shape, spacings, images):
    before = images.copy()
    result = function(images, new_shape, *spacings, is_seg=False)
    assert isinstance(result, np.ndarray)
    assert result.shape == (2, *shape_after(function, new_shape))
    assert result.dtype == np.float32
    assert images.min() - 1e-3 <= result.min() and result.max() <= images.max() + 1e-3
    assert np.array_equal(images, before)


@every_function
@every_shape
@every_spacing
def test_labels_become_no_other_labels(function, new_shape, spacings, labels):
    before = labels.copy()
    result = function(labels, new_shape, *spacings, is_seg=True)
    assert result.shape == (1, *shape_after(function, new_shape))
    assert result.dtype == labels.dtype
    assert set(np.unique(result)) <= set(np.unique(labels))
    assert np.array_equal(labels, before)


@every_function
@every_spacing
@pytest.mark.parametrize("is_seg", [False, True])
def test_what_is_constant_stays_constant(function, spacings, is_seg):
    result = function(np.full((1, *SHAPE), 3, np.float32), LARGER, *spacings, is_seg=is_seg)
    assert np.allclose(result, 3, atol=1e-5)


@every_function
@every_spacing
def test_the_same_shape_changes_nothing(function, spacings, images, labels):
    assert np.allclose(function(images, SHAPE, *spacings, is_seg=False), images, atol=1e-3)
    assert np.array_equal(function(labels, SHAPE, *spacings, is_seg=True), labels)


@every_function
@every_spacing
def test_channels_do_not_mix(function, spacings, images):
    together = function(images, LARGER, *spacings, is_seg=False)
    for channel in range(2):
        alone = function(images[channel : channel + 1], LARGER, *spacings, is_seg=False)
        assert np.allclose(together[channel], alone[0], atol=1e-3)


@every_function
@pytest.mark.parametrize("axis", [1, 2, 3])
def test_a_mirrored_image_gives_the_mirrored_result(function, axis, images):
    spacings = SPACINGS["isotropic"]
    mirrored = function(np.flip(images, axis).copy(), LARGER, *spacings, is_seg=False)
    assert np.allclose(mirrored, np.flip(function(images, LARGER, *spacings, is_seg=False), axis), atol=1e-3)


@every_function
@pytest.mark.parametrize("kind", [tuple, list, np.array])
def test_shapes_and_spacings_may_be_any_sequence(function, kind, images):
    current, new = SPACINGS["thick slices"]
    result = function(images, kind(LARGER), kind(current), kind(new), is_seg=False)
    assert np.array_equal(result, function(images, LARGER, current, new, is_seg=False))


@every_function
def test_tensors_are_taken_too(function, images):
    spacings = SPACINGS["isotropic"]
    result = function(torch.from_numpy(images), LARGER, *spacings, is_seg=False)
    assert np.allclose(np.asarray(result), function(images, LARGER, *spacings, is_seg=False), atol=1e-3)


@every_function
def test_the_thread_count_of_torch_is_left_as_it_was(function, images):
    before = torch.get_num_threads()
    function(images, LARGER, *SPACINGS["isotropic"], is_seg=False)
    assert torch.get_num_threads() == before
