"""Pooling and kernels, from tables worked out by hand and with upstream."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.experiment_planners.network_topology import (
    get_pool_and_conv_props,
    get_shape_must_be_divisible_by,
    pad_shape,
)


def expand(text):
    """``"111 222*2"`` as ((1, 1, 1), (2, 2, 2), (2, 2, 2))."""
    entries = []
    for word in text.split():
        digits, _, times = word.partition("*")
        entries += [tuple(int(d) for d in digits)] * int(times or 1)
    return tuple(entries)


TABLE = [
    ((1, 1, 1), (138.5, 170.5, 137.5), (5, 5, 5), (160, 192, 160), "111 222*5", "333*6"),
    ((3, 2, 2), (96, 128, 128), (4, 5, 5), (96, 128, 128), "111 222*4 122", "333*6"),
    ((5.4, 1.5, 1.5), (17, 217, 239), (2, 5, 5), (20, 224, 256), "111 122 222 222 122 122", "133 333*5"),
    ((2.6, 0.8, 0.8), (127, 512, 512), (5, 7, 7), (128, 512, 512), "111 122 222*5 122", "133 333*7"),
    ((10, 1, 1), (12, 256, 256), (1, 6, 6), (12, 256, 256), "111 122*3 222 122*2", "133*3 333*4"),
    ((1, 1, 1), (11, 64, 64), (1, 4, 4), (12, 64, 64), "111 222 122*3", "333*5"),
    ((1, 2, 4), (100, 100, 100), (4, 4, 4), (112, 112, 112), "111 211 221 222 222 122 112", "311 331 333*5"),
    ((1, 1), (512, 513), (7, 7), (512, 640), "11 22*7", "33*8"),
    ((1, 1, 1), (7, 7, 7), (0, 0, 0), (7, 7, 7), "111", "333"),
]


@pytest.mark.parametrize(("spacing", "size", "pools", "patch", "strides", "kernels"), TABLE)
def test_topology_follows_the_table(spacing, size, pools, patch, strides, kernels):
    got_pools, got_strides, got_kernels, got_patch, divisor = get_pool_and_conv_props(spacing, size, 4, 999999)
    assert got_pools == list(pools)
    assert got_patch == patch
    assert got_strides == expand(strides)
    assert got_kernels == expand(kernels)
    assert divisor.tolist() == [2**p for p in pools]


def test_types_are_those_that_callers_know():
    pools, strides, _, patch, divisor = get_pool_and_conv_props((1.0, 1.0), (64, 48), 4, 999999)
    assert isinstance(pools, list)
    assert isinstance(strides[0], tuple)
    assert all(isinstance(n, np.int64) for n in patch)
    assert divisor.dtype.kind == "i"


def test_the_pooling_count_of_an_axis_can_be_limited():
    pools, strides, *_ = get_pool_and_conv_props((1, 1, 1), (128, 128, 128), 4, 2)
    assert pools == [2, 2, 2]
    assert len(strides) == 3


def test_a_lone_axis_is_not_pooled_below_three_times_the_minimum():
    assert get_pool_and_conv_props((1, 1), (11, 7), 4, 999999)[0] == [0, 0]
    assert get_pool_and_conv_props((1, 1), (12, 7), 4, 999999)[0] == [1, 0]


def test_the_patch_is_always_a_multiple_of_the_divisor():
    rng = np.random.RandomState(5)
    for _ in range(300):
        dimensions = rng.randint(2, 4)
        spacing, size = rng.uniform(0.3, 8, dimensions), rng.randint(1, 700, dimensions) / 2
        pools, strides, kernels, patch, divisor = get_pool_and_conv_props(spacing, size, 4, 999999)
        assert np.prod(strides, axis=0).tolist() == divisor.tolist() == get_shape_must_be_divisible_by(pools).tolist()
        assert not np.any(np.array(patch) % divisor)
        assert np.all(np.array(patch) - size < divisor)
        assert np.all(np.array(patch) >= size)
        assert len(kernels) == len(strides)


def test_shapes_are_padded_per_axis_or_with_one_number():
    assert pad_shape((5, 16, 17.5), (4, 16, 8)).tolist() == [8, 16, 24]
    assert pad_shape((5, 16, 17), 8).tolist() == [8, 16, 24]
    assert pad_shape((5, 16), 8).dtype == np.int64
