import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnunetv2.errors import ImageError
from nnunetv2.records.label_values import LabelValues
from nnunetv2.records.labels import Labels

HEART = {"background": 0, "blood": 500, "muscle": 205, "atrium": "420"}


def values_of(labels: dict, order: list[int] | None = None) -> LabelValues:
    return LabelValues.of(Labels.from_json(labels, order))


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        ({"background": 0, "a": 2, "b": "1"}, None),
        ({"background": 0, "a": 1, "ignore": 2}, None),
        ({"background": 0, "whole": [1, 4], "core": 4}, [1, 4]),
        ({"background": 0, "whole": [1, 4], "core": 4, "ignore": 255}, [1, 4]),
    ],
)
def test_consecutive_labels_and_regions_are_left_alone(labels, order):
    values = values_of(labels, order)
    seg = np.array([0, 1, 7], dtype=np.float32)
    assert values.is_identity and values.to_dense(seg) is seg and values.to_original(seg) is seg
    assert values.dense_labels({"a": 7}) == {"a": 7}


def test_other_labels_are_numbered_in_ascending_order():
    values = values_of(HEART)
    assert values.originals == (0, 205, 420, 500)
    assert values.dense_labels(HEART) == {"background": 0, "blood": 3, "muscle": 1, "atrium": 2}
    seg = np.array([[0, 500, 205], [420, 0, 0]], dtype=np.float32)
    dense = values.to_dense(seg)
    assert dense.dtype == np.float32 and dense.tolist() == [[0, 3, 1], [2, 0, 0]]


def test_the_ignore_label_comes_last_whatever_its_value():
    values = values_of({"background": 0, "a": 1, "b": 3, "ignore": 2})
    assert values.originals == (0, 1, 3, 2)
    assert values.to_dense(np.array([0, 1, 2, 3], dtype=np.uint8)).tolist() == [0, 1, 3, 2]


def test_regions_are_numbered_when_preprocessed_data_cannot_hold_their_labels():
    values = values_of({"background": 0, "whole": [1, 40000], "core": 40000}, [1, 40000])
    assert values.originals == (0, 1, 40000)
    assert values.dense_labels({"whole": [1, 40000], "core": 40000}) == {"whole": [1, 2], "core": 2}


def test_the_dense_map_has_room_for_its_numbers():
    labels = {"background": 0, "ignore": 1} | {str(i): i for i in range(2, 301)}
    dense = values_of(labels).to_dense(np.array([0, 1, 255], dtype=np.uint8))
    assert dense.tolist() == [0, 300, 254]


@pytest.mark.parametrize(
    ("value", "shown"), [(204, "204"), (1.5, "1.5"), (-1, "-1"), (float("nan"), "nan"), (1e9, "1e")]
)
def test_values_that_are_no_labels_are_errors(value, shown):
    seg = np.array([0, 205, value, value], dtype=np.float64)
    with pytest.raises(ImageError, match=rf"holds {shown}.* in 2 voxels, but .* names 0, 205, 420, 500\. Correct"):
        values_of(HEART).to_dense(seg)


@given(st.sets(st.integers(1, 65535), min_size=1, max_size=40), st.integers(0, 2**31 - 1))
def test_to_dense_and_back_changes_nothing(foreground, seed):
    values = values_of({"background": 0} | {str(label): label for label in foreground})
    seg = np.random.RandomState(seed).choice([0, *foreground], size=(3, 4, 5)).astype(np.uint16)
    dense = values.to_dense(seg)
    assert dense.max() <= len(foreground)
    np.testing.assert_array_equal(values.to_original(dense), seg)
    as_tensor = values.to_original(torch.from_numpy(dense.astype(np.int64)))
    np.testing.assert_array_equal(as_tensor.numpy(), seg)
