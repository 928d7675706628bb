import numpy as np
import pytest
import torch

from nnunetv2.errors import LabelsError
from nnunetv2.utilities.label_handling.label_handling import LabelManager, convert_labelmap_to_one_hot

REGIONS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "edge": 3}


def test_label_maps_are_the_first_largest_channel():
    manager = LabelManager({"background": 0, "a": 1, "b": 2}, None)
    logits = np.array([0.0, 1.0, 1.0]).reshape(3, 1, 1, 1)
    assert manager.convert_logits_to_segmentation(logits).item() == 1
    as_tensor = manager.convert_logits_to_segmentation(torch.from_numpy(logits).half())
    assert isinstance(as_tensor, torch.Tensor) and as_tensor.item() == 1
    assert manager.num_segmentation_heads == 3 and manager.foreground_labels == [1, 2]


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_regions_overwrite_in_order_and_only_above_one_half(kind):
    manager = LabelManager(REGIONS, [1, 2, 3])
    probabilities = np.array([[0.6, 0.6, 0.5, 0.1], [0.1, 0.9, 0.4, 0.0], [0.0, 0.2, 0.3, 0.7]])
    probabilities = probabilities.reshape(3, 4, 1, 1).astype(np.float32)
    given = probabilities if kind == "array" else torch.from_numpy(probabilities)
    segmentation = np.asarray(manager.convert_probabilities_to_segmentation(given))
    assert segmentation.ravel().tolist() == [1, 2, 0, 3]


def test_a_wrong_number_of_channels_and_a_wrong_type_are_errors():
    manager = LabelManager({"background": 0, "a": 1}, None)
    with pytest.raises(AssertionError, match="3 channels.*need 2"):
        manager.convert_probabilities_to_segmentation(np.zeros((3, 1, 1, 1)))
    with pytest.raises(RuntimeError, match="list"):
        manager.convert_probabilities_to_segmentation([1])


@pytest.mark.parametrize("labels", [{"background": 0, "a": 1}, REGIONS])
def test_outside_the_crop_is_background(labels):
    manager = LabelManager(labels, [1, 2, 3])
    heads = manager.num_segmentation_heads
    crop = np.full((heads, 2, 2, 2), 0.25, np.float32)
    full = manager.revert_cropping_on_probabilities(crop, [[1, 3], [0, 2], [3, 5]], (4, 4, 4))
    assert full.dtype == np.float32
    np.testing.assert_array_equal(full[:, 0, 0, 0], [0.0] * 3 if manager.has_regions else [1.0, 0.0])
    np.testing.assert_array_equal(full[:, 1:3, 0:2, 3:4], 0.25)
    tensor = manager.revert_cropping_on_probabilities(torch.from_numpy(crop), [[1, 3], [0, 2], [3, 5]], (4, 4, 4))
    np.testing.assert_array_equal(tensor.numpy(), full)


def test_a_box_outside_the_image_leaves_the_canvas_alone():
    manager = LabelManager({"background": 0, "a": 1}, None)
    full = manager.revert_cropping_on_probabilities(np.zeros((2, 2, 2, 2)), [[9, 11], [0, 2], [0, 2]], (4, 4, 4))
    assert (full[0] == 1).all()


def test_one_hot_takes_any_label_values():
    segmentation = np.array([[0, 7], [300, 7]])
    one_hot = convert_labelmap_to_one_hot(segmentation, [0, 7, 300])
    assert one_hot.shape == (3, 2, 2) and one_hot.dtype == np.uint16
    as_tensor = convert_labelmap_to_one_hot(torch.from_numpy(segmentation), [0, 7, 300], output_dtype=torch.float16)
    np.testing.assert_array_equal(as_tensor.numpy(), one_hot)
    assert convert_labelmap_to_one_hot(segmentation, [0, 7]).dtype == np.uint8


def test_probabilities_are_float32_and_sum_to_one():
    manager = LabelManager({"background": 0, "a": 1}, None)
    probabilities = manager.apply_inference_nonlin(
        np.random.RandomState(0).normal(size=(2, 3, 3, 3)).astype(np.float16)
    )
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(0), torch.ones(3, 3, 3))


def test_a_foreground_region_query_without_regions_is_a_type_error():
    with pytest.raises(TypeError):
        _ = LabelManager({"background": 0, "a": 1}, None).foreground_regions
    with pytest.raises(LabelsError):
        LabelManager({"a": 1}, None)


HEART = {"background": 0, "muscle": 205, "atrium": 420}


def test_without_unusual_values_the_dense_label_manager_is_the_same_object():
    for labels, order in (({"background": 0, "a": 1, "ignore": 2}, None), (REGIONS, [1, 2, 3])):
        manager = LabelManager(labels, order)
        assert manager.dense is manager


def test_channels_become_the_values_in_files():
    manager = LabelManager(HEART, None)
    logits = np.eye(3).reshape(3, 3, 1, 1)
    assert manager.all_labels == [0, 205, 420] and manager.num_segmentation_heads == 3
    assert manager.convert_logits_to_segmentation(logits).ravel().tolist() == [0, 205, 420]
    assert manager.convert_logits_to_segmentation(torch.from_numpy(logits)).ravel().tolist() == [0, 205, 420]
    assert manager.dense.convert_logits_to_segmentation(logits).ravel().tolist() == [0, 1, 2]


def test_training_sees_dense_labels():
    manager = LabelManager({**HEART, "ignore": 255}, None).dense
    assert manager.all_labels == [0, 1, 2] and manager.foreground_labels == [1, 2] and manager.ignore_label == 3
    assert manager.dense is manager


def test_training_sees_dense_regions_when_their_labels_are_high():
    manager = LabelManager({"background": 0, "whole": [1, 40000], "core": 40000}, [1, 40000])
    assert manager.dense.foreground_regions == [(1, 2), 2] and manager.dense.regions_class_order == [1, 2]
    probabilities = torch.ones(2, 1, 1, 1)
    assert manager.convert_probabilities_to_segmentation(probabilities).item() == 40000
    assert manager.dense.convert_probabilities_to_segmentation(probabilities).item() == 2
