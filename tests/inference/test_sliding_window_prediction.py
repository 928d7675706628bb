import pytest
import torch

from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def fresh_cache():
    compute_gaussian.cache_clear()
    yield
    compute_gaussian.cache_clear()


def test_the_peak_is_exactly_ten_and_lies_at_half_the_size():
    weights = compute_gaussian((16, 20, 12), value_scaling_factor=10, device=CPU)
    assert weights.dtype == torch.float16
    assert weights.max() == 10
    assert weights[8, 10, 6] == 10


def test_no_half_precision_weight_is_zero_and_the_corners_have_the_smallest_half():
    weights = compute_gaussian((32, 32, 32), value_scaling_factor=10, device=CPU)
    assert (weights > 0).all()
    assert weights.min().item() == 2.0**-24
    assert weights[0, 0, 0] == weights.min()


def test_float32_weights_are_not_clamped():
    weights = compute_gaussian((32, 32, 32), value_scaling_factor=10, dtype=torch.float32, device=CPU)
    assert 0 < weights[0, 0, 0] < 2.0**-24


def test_weights_of_an_even_size_are_symmetric_up_to_the_offset_of_the_centre():
    weights = compute_gaussian((10, 6), device=CPU)
    assert torch.equal(weights[1:], weights[1:].flip(0))
    assert not torch.equal(weights, weights.flip(0))


def test_the_map_is_cached_until_the_cache_is_cleared():
    first = compute_gaussian((8, 8), device=CPU)
    assert compute_gaussian((8, 8), device=CPU) is first
    compute_gaussian.cache_clear()
    assert compute_gaussian((8, 8), device=CPU) is not first


def test_steps_are_one_list_per_axis():
    assert compute_steps_for_sliding_window((110, 64), (64, 64), 0.5) == [[0, 23, 46], [0]]
