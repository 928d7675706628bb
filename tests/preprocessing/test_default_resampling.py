import numpy as np
import pytest
import torch
from batchgenerators.augmentations.utils import resize_segmentation
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from skimage.transform import resize

from nnunetv2.errors import ImageError
from nnunetv2.preprocessing.resampling.default_resampling import (
    compute_new_shape,
    determine_do_sep_z_and_axis,
    get_do_separate_z,
    get_lowres_axis,
    resample_data_or_seg,
    resample_data_or_seg_to_shape,
    resample_data_or_seg_to_spacing,
)

SHAPE = (8, 15, 12)
NEW_SHAPES = [(13, 21, 17), (5, 8, 6), (8, 20, 24), (3, 15, 12), (1, 40, 2), (16, 30, 24)]


def naive(channel, new_shape, is_seg, order, axis=None, order_z=0):
    """The reference: one scikit-image call in 3D, or one per slice and a spline along the separate axis."""

    def to_shape(array, shape):
        if is_seg:
            return resize_segmentation(array, shape, order=order)
        return resize(array.astype(np.float64), shape, order=order, mode="edge", clip=True, anti_aliasing=False)

    if axis is None:
        return to_shape(channel, new_shape)
    in_plane = tuple(n for a, n in enumerate(new_shape) if a != axis)
    stack = np.stack([to_shape(plane, in_plane) for plane in np.moveaxis(channel, axis, 0)])
    length = new_shape[axis]
    if length == len(stack):
        return np.moveaxis(stack, 0, axis)
    z = len(stack) / length * (np.arange(length) + 0.5) - 0.5
    grid = np.meshgrid(z, *[np.arange(n) for n in in_plane], indexing="ij")

    def along(array):
        return map_coordinates(array, grid, order=order_z, mode="nearest")

    if is_seg and order_z > 0:
        result = np.zeros((length, *in_plane), channel.dtype)
        for label in np.unique(stack):
            result[np.round(along((stack == label).astype(float))) > 0.5] = label
    else:
        result = along(stack.astype(np.float64))
    return np.moveaxis(result, 0, axis)


def image(seed=0, shape=SHAPE):
    return np.random.RandomState(seed).randn(2, *shape).astype(np.float32)


def labels(seed=0, shape=SHAPE, count=4):
    return (np.random.RandomState(seed).randint(0, count, (1, *shape)) - 1).astype(np.float32)


@pytest.mark.parametrize("new_shape", NEW_SHAPES)
@pytest.mark.parametrize("order", [0, 1, 3])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_images_equal_the_reference(new_shape, order, axis):
    data = image()
    ours = resample_data_or_seg(data, new_shape, False, axis, order, axis is not None)
    for channel, result in zip(data, ours):
        expected = naive(channel, new_shape, False, order, axis).astype(np.float32)
        assert np.abs(result - expected).max() < (0 if order == 0 else 2e-6) + 1e-12


@pytest.mark.parametrize("new_shape", NEW_SHAPES)
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1, 2])
def test_labels_equal_the_reference_exactly(new_shape, order, axis):
    seg = labels()
    ours = resample_data_or_seg(seg, new_shape, True, axis, order, axis is not None)
    assert ours.dtype == seg.dtype
    assert np.array_equal(ours[0], naive(seg[0], new_shape, True, order, axis))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(0, 10_000),
    st.tuples(*[st.integers(1, 9)] * 3),
    st.tuples(*[st.integers(1, 14)] * 3),
    st.integers(1, 8),
    st.sampled_from([None, 0, 1, 2]),
)
def test_labels_equal_the_reference_for_any_shape(seed, shape, new_shape, count, axis):
    seg = labels(seed, shape, count)
    ours = resample_data_or_seg(seg, new_shape, True, axis, 1, axis is not None)
    assert np.array_equal(ours[0], naive(seg[0], new_shape, True, 1, axis))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 14)] * 3))
def test_cubic_images_equal_the_reference_for_any_shape(seed, shape, new_shape):
    data = image(seed, shape)
    ours = resample_data_or_seg(data, new_shape, False, None, 3)
    assert np.abs(ours[0] - naive(data[0], new_shape, False, 3)).max() < 3e-6


@pytest.mark.parametrize("ratio", [(2, 2, 2), (1, 2, 3), (2, 1, 4)])
def test_exact_ties_between_labels_go_the_way_of_the_reference(ratio):
    for seed in range(3):
        seg = labels(seed, (4, 6, 5), 3)
        for new_shape in (
            [n * r for n, r in zip((4, 6, 5), ratio)],
            [max(1, n // r) for n, r in zip((4, 6, 5), ratio)],
        ):
            ours = resample_data_or_seg(seg, new_shape, True, None, 1)
            assert np.array_equal(ours[0], naive(seg[0], tuple(new_shape), True, 1))


@pytest.mark.parametrize("order_z", [1, 2, 3])
@pytest.mark.parametrize("is_seg", [True, False])
def test_other_orders_along_the_separate_axis_equal_the_reference(order_z, is_seg):
    data = labels() if is_seg else image()
    for axis, new_shape in ((1, (13, 16, 9)), (1, (8, 8, 19))):  # lengths without exact ties, which rounding decides
        ours = resample_data_or_seg(data, new_shape, is_seg, axis, 1, True, order_z)
        expected = naive(data[0], new_shape, is_seg, 1, axis, order_z)
        assert np.abs(ours[0] - expected).max() < 1e-6


@pytest.mark.parametrize("order", [2, 4])
def test_orders_without_a_matrix_still_work(order):
    data, seg = image(), labels()
    for axis in (None, 1):
        ours = resample_data_or_seg(data, (9, 20, 10), False, axis, order, axis is not None)
        assert np.abs(ours[0] - naive(data[0], (9, 20, 10), False, order, axis)).max() < 1e-6
        ours = resample_data_or_seg(seg, (9, 20, 10), True, axis, order, axis is not None)
        assert np.array_equal(ours[0], naive(seg[0], (9, 20, 10), True, order, axis))


def test_values_stay_in_the_range_of_the_volume_or_of_the_slice():
    data = np.zeros((1, 4, 8, 8), np.float32)
    data[0, 1, 4:, :] = 100
    volume = resample_data_or_seg(data, (7, 13, 13), False, None, 3)
    assert volume.min() == 0
    assert volume.max() <= 100
    data[0, 2] = 5
    slices = resample_data_or_seg(data, (4, 13, 13), False, 0, 3, True)
    assert np.abs(slices[0, 2] - 5).max() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_images_keep_their_dtype(dtype):
    for order in (0, 1, 3):
        result = resample_data_or_seg(image().astype(dtype), (9, 9, 9), False, None, order)
        assert result.dtype == dtype
        assert result.shape == (2, 9, 9, 9)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int64, np.float32])
def test_labels_keep_their_dtype_and_values(dtype):
    seg = (labels() + 1).astype(dtype) * 30
    result = resample_data_or_seg(seg, (11, 9, 20), True, None, 1)
    assert result.dtype == dtype
    assert set(np.unique(result)) <= {0, 30, 60, 90}


def test_labels_too_large_or_not_whole_are_kept_too():
    seg = np.where(labels() > 0, 3_000_000_000.0, 0.25)
    result = resample_data_or_seg(seg, (11, 9, 20), True, None, 1)
    assert set(np.unique(result)) == {0.25, 3_000_000_000.0}


def test_equal_shape_returns_the_very_array():
    data = image()
    assert resample_data_or_seg_to_shape(data, SHAPE, (1, 1, 1), (2, 2, 2)) is data


def test_tensors_are_taken_and_arrays_given():
    data = image()
    expected = resample_data_or_seg(data, (9, 9, 9), False, None, 1)
    assert np.array_equal(resample_data_or_seg(torch.from_numpy(data), (9, 9, 9), False, None, 1), expected)
    half = resample_data_or_seg(torch.from_numpy(data).bfloat16(), (9, 9, 9), False, None, 1)
    assert np.abs(half - expected).max() < 0.05


def test_inputs_are_not_changed_and_may_be_transposed_views():
    data = image().transpose(0, 3, 1, 2)
    before = data.copy()
    result = resample_data_or_seg(data, (9, 9, 9), False, 0, 3, True)
    assert np.array_equal(data, before)
    assert np.array_equal(result, resample_data_or_seg(before, (9, 9, 9), False, 0, 3, True))


def test_new_spacing_and_new_shape_say_the_same():
    data = image()
    to_spacing = resample_data_or_seg_to_spacing(data, (3, 1, 1), (2, 1.5, 1.5), order=1)
    shape = compute_new_shape(SHAPE, (3, 1, 1), (2, 1.5, 1.5))
    assert shape.tolist() == [12, 10, 8]
    assert np.array_equal(to_spacing, resample_data_or_seg_to_shape(data, shape, (3, 1, 1), (2, 1.5, 1.5), order=1))


@pytest.mark.parametrize(
    ("force", "current", "new", "expected"),
    [
        (None, (1, 1, 1), (1, 1, 1), (False, None)),
        (None, (3, 1, 1), (1, 1, 1), (False, None)),  # exactly 3 is not anisotropic
        (None, (3.1, 1, 1), (1, 1, 1), (True, 0)),
        (None, (1, 1, 1), (1, 5, 1), (True, 1)),
        (None, (1, 5, 1), (1, 1, 9), (True, 1)),
        (None, (0.24, 1.25, 1.25), (5, 1, 1), (False, None)),
        (None, (4, 4, 1), (1, 1, 1), (False, None)),
        (True, (2, 1, 1), (1, 1, 9), (True, 0)),
        (True, (1, 1, 1), (1, 1, 9), (False, None)),
        (False, (9, 1, 1), (9, 1, 1), (False, None)),
    ],
)
def test_which_axis_is_separate(force, current, new, expected):
    assert determine_do_sep_z_and_axis(force, current, new) == expected


def test_separate_axis_follows_the_threshold():
    assert get_do_separate_z((4, 1, 1), 5) is False
    assert get_do_separate_z((4, 1, 1)) is True
    assert get_lowres_axis((4, 1, 4)).tolist() == [0, 2]
    assert determine_do_sep_z_and_axis(None, (4, 1, 1), (1, 1, 1), 5) == (False, None)


def test_impossible_requests_are_errors():
    with pytest.raises(ImageError, match="no voxels"):
        resample_data_or_seg(image(), (0, 3, 3))
    with pytest.raises(ImageError, match=r"\(C, Z, Y, X\)"):
        resample_data_or_seg(image()[0], (3, 3, 3))
    with pytest.raises(ImageError, match="axis"):
        resample_data_or_seg(image(), (3, 3, 3), do_separate_z=True)
