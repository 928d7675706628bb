from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio.label_values import as_stored_labels, label_dtype


@pytest.mark.parametrize(
    ("highest", "dtype"), [(0, np.uint8), (254, np.uint8), (255, np.uint16), (300, np.uint16), (65535, np.uint16)]
)
def test_255_is_the_first_label_with_16_bits(highest, dtype):
    assert label_dtype(highest) is dtype
    assert as_stored_labels(np.full((1, 1, 2), highest), "f").dtype == dtype


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int16, np.int64, np.uint8, np.float16, np.float32, np.float64])
def test_any_dtype_with_label_values_is_accepted(dtype):
    stored = as_stored_labels(np.array([[[0, 1, 1]]], dtype=dtype), "f")
    assert stored.dtype == np.uint8
    assert stored.tolist() == [[[0, 1, 1]]]


def test_an_array_that_is_right_already_is_not_copied():
    seg = np.zeros((2, 3, 4), np.uint8)
    assert as_stored_labels(seg, "f") is seg


@pytest.mark.parametrize("value", [-1, 65536, 1.5, float("nan"), float("inf")])
def test_values_that_cannot_be_stored_are_named_with_the_file(value):
    with pytest.raises(ImageError, match=r"out\.nii\.gz was not written"):
        as_stored_labels(np.full((1, 2, 3), value), "out.nii.gz")
