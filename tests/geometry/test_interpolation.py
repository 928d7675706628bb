import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.transform import resize

from nnunetv2.geometry.interpolation import (
    ORDERS,
    coordinates,
    linear_taps,
    nearest_indices,
    operator,
    operator_blocks,
)

lengths = st.integers(1, 70)


def reference(signal, new, order):
    return resize(signal, (new,), order=order, mode="edge", anti_aliasing=False, clip=False)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [(4, 2, [1, 3]), (5, 2, [1, 3]), (3, 6, [0, 0, 1, 1, 2, 2]), (7, 3, [1, 3, 5])],
)
def test_nearest_takes_the_upper_of_two_equally_near_samples(old, new, expected):
    assert nearest_indices(old, new).tolist() == expected


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lengths, lengths, st.sampled_from(ORDERS), st.integers(0, 1000))
def test_operator_equals_resizing_with_scikit_image(old, new, order, seed):
    signal = np.random.RandomState(seed).randn(old)
    assert np.abs(operator(old, new, order) @ signal - reference(signal, new, order)).max() < 1e-12


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lengths, lengths, st.sampled_from(ORDERS))
def test_rows_sum_to_one_so_constants_stay(old, new, order):
    assert np.allclose(operator(old, new, order).sum(axis=1), 1, rtol=0, atol=1e-13)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lengths, lengths, st.sampled_from(ORDERS))
def test_mirrored_input_gives_mirrored_output_except_for_halves(old, new, order):
    if order == 0 and np.any(coordinates(old, new) % 1 == 0.5):
        return
    matrix = operator(old, new, order)
    assert np.allclose(matrix[::-1, ::-1], matrix, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
def test_equal_lengths_give_the_identity(order):
    assert np.allclose(operator(9, 9, order), np.eye(9), rtol=0, atol=1e-14)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("old", "new"), [(300, 211), (211, 300), (1, 5), (5, 1), (64, 200)])
def test_blocks_together_are_the_operator(old, new, order):
    joined = np.full((new, old), np.nan)
    for block in operator_blocks(old, new, order):
        joined[block.rows] = 0
        joined[block.rows, block.columns] = block.weights
    assert np.abs(joined - operator(old, new, order)).max() < 2e-8


@settings(max_examples=40, deadline=None, derandomize=True)
@given(lengths, lengths)
def test_linear_taps_say_the_same_as_the_linear_operator(old, new):
    lower, upper, weight = linear_taps(old, new)
    signal = np.random.RandomState(0).randn(old)
    assert np.allclose(signal[lower] * (1 - weight) + signal[upper] * weight, operator(old, new, 1) @ signal)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(lengths, lengths)
def test_nearest_indices_say_the_same_as_the_nearest_operator(old, new):
    assert np.array_equal(operator(old, new, 0).argmax(axis=1), nearest_indices(old, new))


def test_cached_arrays_cannot_be_changed_by_a_caller():
    for array in (operator(6, 4, 3), nearest_indices(6, 4), *linear_taps(6, 4), operator_blocks(6, 4, 1)[0].weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_other_orders_and_empty_axes_are_refused():
    with pytest.raises(ValueError, match="order 2"):
        operator(4, 4, 2)
    with pytest.raises(ValueError, match="positive"):
        nearest_indices(0, 3)
