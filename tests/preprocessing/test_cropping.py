import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes

from nnunetv2.errors import ImageError
from nnunetv2.preprocessing.cropping.cropping import create_nonzero_mask, crop_to_nonzero


def naive_crop(data, seg, label=-1):
    mask = binary_fill_holes((data != 0).any(axis=0))
    where = np.argwhere(mask)
    if len(where):
        box = [[int(a), int(b) + 1] for a, b in zip(where.min(0), where.max(0))]
    else:
        box = [[0, n] for n in mask.shape]
    index = tuple(slice(*b) for b in box)
    mask, seg = mask[index], seg[(slice(None), *index)].copy()
    seg[(seg == 0) & ~mask[None]] = label
    return data[(slice(None), *index)], seg, box


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 9)] * 3), st.sampled_from([0.2, 0.6, 0.8]))
def test_crop_equals_fill_holes_then_box(seed, shape, background):
    rng = np.random.RandomState(seed)
    data = rng.randn(2, *shape) * (rng.rand(2, *shape) > background)
    data[:, [0, -1]] = 0
    seg = rng.randint(0, 3, (1, *shape))
    for ours, naive in zip(crop_to_nonzero(data, seg), naive_crop(data, seg)):
        assert np.array_equal(ours, naive)
    assert np.array_equal(create_nonzero_mask(data), binary_fill_holes((data != 0).any(axis=0)))


@pytest.mark.parametrize("shape", [(40, 50, 60), (30, 200)])
def test_a_few_zeros_inside_an_image_are_filled_as_by_scipy(shape):
    # So few that background is followed from the border instead of numbering its components.
    random = np.random.RandomState(len(shape))
    data = (random.rand(1, *shape) > 0.015).astype(np.float32)
    tunnel = (0, slice(0, shape[0] // 2), *[3] * (len(shape) - 1))  # leads from the border to the middle
    data[tunnel] = 0
    assert np.array_equal(create_nonzero_mask(data), binary_fill_holes(data[0] != 0))


def test_a_closed_hole_is_inside_and_an_open_one_is_not():
    data = np.ones((1, 5, 5, 5))
    data[0, 2, 2, 2] = 0
    assert create_nonzero_mask(data).all()
    data[0, :3, 2, 2] = 0
    assert create_nonzero_mask(data).sum() == 122


def test_nothing_is_filled_in_a_single_slice():
    data = np.ones((1, 1, 5, 5))
    data[0, 0, 2, 2] = 0
    assert not create_nonzero_mask(data)[0, 2, 2]


def test_labels_outside_the_mask_survive():
    data = np.zeros((1, 4, 4, 4))
    data[0, 0, 0, 0] = data[0, 2, 2, 2] = 1
    seg = np.zeros((1, 4, 4, 4), dtype=np.float32)
    seg[0, 1, 1, 1] = 2
    _, cropped, box = crop_to_nonzero(data, seg)
    assert box == [[0, 3]] * 3
    assert cropped[0, 1, 1, 1] == 2
    assert cropped[0, 0, 0, 0] == 0
    assert (cropped == -1).sum() == 24


def test_without_segmentation_an_int8_one_is_made():
    data = np.zeros((1, 3, 3, 3), dtype=np.float32)
    data[0, 0, 0, 0] = data[0, 1, 1, 1] = 5
    cropped, seg, _ = crop_to_nonzero(data, nonzero_label=-7)
    assert seg.dtype == np.int8
    assert seg.shape == cropped.shape == (1, 2, 2, 2)
    assert sorted(np.unique(seg)) == [-7, 0]


def test_an_image_of_zeros_keeps_its_full_extent():
    data, seg, box = crop_to_nonzero(np.zeros((2, 3, 4, 5)))
    assert box == [[0, 3], [0, 4], [0, 5]]
    assert data.shape == (2, 3, 4, 5)
    assert (seg == -1).all()


def test_nan_counts_as_nonzero():
    data = np.zeros((1, 3, 3, 3))
    data[0, 1, 1, 1] = np.nan
    assert crop_to_nonzero(data)[2] == [[1, 2]] * 3


def test_the_callers_arrays_stay_as_they_were():
    data, seg = np.zeros((1, 3, 3, 3)), np.zeros((1, 3, 3, 3))
    data[0, 0] = 1
    crop_to_nonzero(data, seg)
    assert not seg.any()


def test_different_shapes_are_an_error():
    with pytest.raises(ImageError, match="same voxels"):
        crop_to_nonzero(np.ones((1, 3, 3, 3)), np.ones((1, 3, 3, 4)))
    with pytest.raises(ImageError, match="cannot be cropped"):
        create_nonzero_mask(np.ones((3, 3)))
