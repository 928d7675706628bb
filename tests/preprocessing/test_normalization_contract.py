"""Every normalization scheme goes through the same checks; a new file in the room is covered as it is."""

from __future__ import annotations

import inspect
import pickle
from os.path import dirname

import numpy as np
import pytest

from nnunetv2.preprocessing import normalization
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import (
    channel_name_to_normalization_mapping,
)
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from tests.families import members_below
from tests.preprocessing.conftest import INTENSITIES

SCHEMES = members_below(
    normalization,
    lambda member: (
        inspect.isclass(member) and issubclass(member, ImageNormalization) and not inspect.isabstract(member)
    ),
)
every_scheme = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.__name__)
both_mask_settings = pytest.mark.parametrize("use_mask", [False, True])
SHAPE = (6, 7, 8)


@pytest.fixture
def seg():
    """-1 outside a ball-like inside, as cropping leaves it."""
    return np.where(np.random.RandomState(1).rand(*SHAPE) < 0.3, -1, 1).astype(np.int8)


@pytest.fixture
def image(seg):
    """8-bit intensities, which every scheme takes; zero outside the mask."""
    return np.where(seg < 0, 0, np.random.RandomState(0).randint(1, 256, SHAPE)).astype(np.float32)


def test_the_family_is_found():
    assert len(SCHEMES) >= 5
    assert set(channel_name_to_normalization_mapping.values()) <= set(SCHEMES)


@every_scheme
def test_it_is_found_by_its_name_and_constructed_like_the_others(scheme):
    found = recursive_find_python_class(dirname(normalization.__file__), scheme.__name__, normalization.__name__)
    assert found is scheme
    assert inspect.signature(scheme) == inspect.signature(ImageNormalization)
    assert list(inspect.signature(scheme.run).parameters) == ["self", "image", "seg"]
    assert isinstance(scheme.leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true, bool)


@every_scheme
@both_mask_settings
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_result_is_new_and_of_the_target_dtype(scheme, use_mask, dtype, image, seg):
    before, seg_before = image.copy(), seg.copy()
    result = scheme(use_mask, INTENSITIES, dtype).run(image, seg)
    assert result.dtype == dtype
    assert result.shape == image.shape
    assert not np.shares_memory(result, image)
    assert np.array_equal(image, before) and np.array_equal(seg, seg_before)
    assert np.isfinite(result).all()


@every_scheme
@pytest.mark.parametrize("stored", [np.int16, np.uint8, np.float64])
def test_intensities_of_any_dtype_give_the_same(scheme, stored, image, seg):
    normalizer = scheme(False, INTENSITIES)
    assert np.array_equal(normalizer.run(image.astype(stored), seg), normalizer.run(image, seg))


@every_scheme
@both_mask_settings
def test_the_layout_in_memory_does_not_matter(scheme, use_mask, image, seg):
    normalizer = scheme(use_mask, INTENSITIES)
    turned = normalizer.run(np.asfortranarray(image), np.asfortranarray(seg))
    assert np.allclose(turned, normalizer.run(image, seg), atol=1e-6)


@every_scheme
@both_mask_settings
@pytest.mark.parametrize("value", [0, 7])
def test_a_constant_image_becomes_a_finite_constant(scheme, use_mask, value, seg):
    result = scheme(use_mask, INTENSITIES).run(np.full(SHAPE, value, np.float32), np.zeros(SHAPE))
    assert np.isfinite(result).all()
    assert len(np.unique(result)) == 1


@every_scheme
@both_mask_settings
def test_order_of_intensities_is_kept_inside_the_mask(scheme, use_mask, image, seg):
    result = scheme(use_mask, INTENSITIES).run(image, seg)
    order = np.argsort(image[seg >= 0])
    assert np.all(np.diff(result[seg >= 0][order]) >= 0)


@every_scheme
def test_what_lies_outside_the_mask_stays_zero_where_the_scheme_promises_it(scheme, image, seg):
    result = scheme(True, INTENSITIES).run(image, seg)
    if scheme.leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true:
        assert not result[seg < 0].any()
    else:
        assert np.array_equal(result, scheme(False, INTENSITIES).run(image, seg))


@every_scheme
def test_the_segmentation_is_not_needed_without_the_mask(scheme, image, seg):
    normalizer = scheme(False, INTENSITIES)
    assert np.array_equal(normalizer.run(image), normalizer.run(image, seg))


@every_scheme
def test_it_can_be_sent_to_a_worker_process(scheme, image, seg):
    normalizer = scheme(True, INTENSITIES)
    copy = pickle.loads(pickle.dumps(normalizer))
    assert np.array_equal(copy.run(image, seg), normalizer.run(image, seg))
