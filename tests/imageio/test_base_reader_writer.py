from __future__ import annotations

import numpy as np
import pytest

from nnunetv2.imageio.base_reader_writer import BaseReaderWriter


def test_a_class_without_the_three_methods_cannot_be_made():
    class Incomplete(BaseReaderWriter):
        def read_images(self, image_fnames):
            return np.zeros((1, 1, 1, 1)), {"spacing": (1, 1, 1)}

    with pytest.raises(TypeError, match="read_seg"):
        Incomplete()


def test_all_same_compares_with_tolerance():
    same = BaseReaderWriter._check_all_same
    assert same([(1, 2)])
    assert same([(1, 2), (1, 2 + 1e-9)])
    assert not same([(1, 2), (1, 2), (1, 2.1)])


def test_all_same_array_compares_shapes_first():
    same = BaseReaderWriter._check_all_same_array
    assert same([np.eye(2)])
    assert same([np.eye(2), np.eye(2)])
    assert not same([np.eye(2), np.eye(3)])
    assert not same([np.eye(2), -np.eye(2)])
