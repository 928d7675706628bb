"""NaN and infinite voxels are told by number, channel, place and file."""

from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.errors import ImageError
from nnunetv2.imageio.finite_voxels import NotFiniteError, require_finite


def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2, 5, 6, 7)).astype(np.float32)


def test_numbers_kinds_and_first_place_are_told():
    data = image()
    require_finite(data)
    data[1, 3, 2, 1], data[1, 3, 2, 4], data[1, 4, 0, 0] = np.inf, np.nan, np.nan
    with pytest.raises(NotFiniteError, match=r"channel 1 .*: 2 NaN and 1 infinite, the first at \(3, 2, 1\)") as caught:
        require_finite(data)
    assert caught.value.channel == 1


def test_the_place_is_that_in_the_file_whatever_was_cropped_and_turned():
    data = image()
    data[0, 4, 5, 6] = np.nan
    order, first = (2, 0, 1), (10, 1, 0)  # axis 0 of the data is axis 2 of the file
    with pytest.raises(NotFiniteError, match=r"the first at \(6, 6, 14\)"):
        require_finite(data, first, order)


def test_the_file_of_the_channel_is_named_or_all_of_them():
    data = image()
    data[1, 0, 0, 0] = np.nan
    with pytest.raises(NotFiniteError) as caught:
        require_finite(data)
    assert str(caught.value.in_files(["a_0000.nii", "a_0001.nii"], 2)).startswith("a_0001.nii: channel 1")
    error = caught.value.in_files(["rgb.png"], 3)
    assert str(error).startswith("rgb.png: channel 1")
    assert isinstance(error, ImageError)
