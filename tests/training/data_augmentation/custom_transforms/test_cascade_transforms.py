"""Dict-style cascade transforms: one-hot channels and their degradation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.morphology import ball

from nnunetv2.training.data_augmentation.custom_transforms import binary_operators
from nnunetv2.training.data_augmentation.custom_transforms.cascade_transforms import (
    ApplyRandomBinaryOperatorTransform,
    MoveSegAsOneHotToData,
    RemoveRandomConnectedComponentFromOneHotEncodingTransform,
)


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(5)


def two_boxes():
    data = np.zeros((1, 3, 14, 14, 14), dtype=np.float32)
    data[0, 0] = 7
    data[0, 1, 2:6, 2:6, 2:6] = 1
    data[0, 2, 6:10, 6:10, 6:10] = 1
    return data


@pytest.mark.parametrize(("remove", "channels"), [(True, 1), (False, 2)])
def test_labels_are_appended_one_hot(remove, channels):
    seg = np.array([[[0, 1], [1, 2]], [[2, 0], [-1, 1]]])[None]  # (1, 2, 2, 2)
    batch = {"data": np.full((1, 1, 2, 2), 9, dtype=np.float32), "seg": seg}
    out = MoveSegAsOneHotToData(1, [1, 2], remove_from_origin=remove)(**batch)
    assert out["data"].tolist() == [[[[9, 9], [9, 9]], [[0, 0], [0, 1]], [[1, 0], [0, 0]]]]
    assert out["data"].dtype == np.float32
    assert np.array_equal(out["seg"], seg[:, :channels])


def test_a_growing_label_takes_voxels_from_the_others():
    data = two_boxes()
    transform = ApplyRandomBinaryOperatorTransform(
        [1, 2], p_per_sample=1, any_of_these=(binary_operators.dilation,), strel_size=(3, 3)
    )
    out = transform(data=data)["data"][0]
    assert (out[0] == 7).all()
    assert out[1:].sum() > two_boxes()[0, 1:].sum()
    assert not (out[1] * out[2]).any()


def test_a_shrinking_label_leaves_background():
    transform = ApplyRandomBinaryOperatorTransform(
        [1, 2], p_per_sample=1, any_of_these=(binary_operators.erosion,), strel_size=(1, 1)
    )
    out = transform(data=two_boxes())["data"][0]
    assert out[1].sum() == out[2].sum() == 2**3


def test_functions_of_other_libraries_may_be_used():
    transform = ApplyRandomBinaryOperatorTransform(
        1, p_per_sample=1, any_of_these=(ndimage.binary_dilation,), strel_size=(1, 1)
    )
    out = transform(data=two_boxes())["data"][0]
    assert out[1].sum() == 4**3 + 6 * 4**2


@pytest.mark.parametrize(
    "transform",
    [
        ApplyRandomBinaryOperatorTransform([1, 2], p_per_sample=0),
        ApplyRandomBinaryOperatorTransform([1, 2], p_per_sample=1, p_per_label=0),
        RemoveRandomConnectedComponentFromOneHotEncodingTransform([1, 2], p_per_sample=0),
        RemoveRandomConnectedComponentFromOneHotEncodingTransform([1, 2], p_per_sample=1, p_per_label=0),
        RemoveRandomConnectedComponentFromOneHotEncodingTransform(
            [1, 2], p_per_sample=1, dont_do_if_covers_more_than_x_percent=64 / 14**3
        ),
    ],
)
def test_probability_zero_and_the_size_limit_leave_the_batch_alone(transform):
    assert np.array_equal(transform(data=two_boxes())["data"], two_boxes())


def test_one_component_is_erased_per_label():
    data = two_boxes()
    data[0, 1, 10:12, 10:12, 10:12] = 1
    transform = RemoveRandomConnectedComponentFromOneHotEncodingTransform(
        [1], p_per_sample=1, fill_with_other_class_p=1
    )
    out = transform(data=data)["data"][0]
    assert out[1].sum() in (8, 64)
    assert out[2].sum() == 64


def test_an_erased_component_can_go_to_another_class():
    transform = RemoveRandomConnectedComponentFromOneHotEncodingTransform(
        [1, 2], p_per_sample=1, fill_with_other_class_p=1, p_per_label=1
    )
    transform.channel_idx = [1, 2]
    data = two_boxes()
    data[0, 2] = 0
    out = transform(data=data)["data"][0]
    assert out[1:].sum() == 64  # moved to label 2, and from there back to label 1
    assert out[1].sum() == 64


@pytest.mark.parametrize("radius", [1, 3, 4])
def test_operators_agree_with_scipy(radius):
    mask = np.random.RandomState(0).uniform(size=(15, 16, 17)) > 0.97
    mask[4:12, 4:12, 4:12] = True
    element = ball(radius, dtype=bool)
    assert np.array_equal(binary_operators.dilation(mask, element), ndimage.binary_dilation(mask, element))
    assert np.array_equal(
        binary_operators.erosion(mask, element), ndimage.binary_erosion(mask, element, border_value=1)
    )


def test_opening_and_closing_are_the_two_orders_of_erosion_and_dilation():
    mask = np.zeros((12, 12), dtype=bool)
    mask[3:9, 3:9] = True
    mask[5, 5] = False
    mask[0, 11] = True
    element = np.ones((3, 3), dtype=bool)
    closed, opened = binary_operators.closing(mask, element), binary_operators.opening(mask, element)
    assert closed[5, 5]
    assert not opened[0, 11]
    assert not opened[5, 5]
