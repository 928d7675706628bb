"""Streamed statistics against numpy on the whole array, digit by digit."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.dataset_fingerprint import intensity_statistics as module
from nnunetv2.experiment_planning.dataset_fingerprint.intensity_statistics import (
    intensity_statistics,
    streamed_statistics,
)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Pieces so small that a few hundred samples need several."""
    monkeypatch.setattr(module, "PIECE", 136)


def of_numpy(samples):
    low, median, high = np.percentile(samples, np.array((0.5, 50.0, 99.5)))
    expected = {
        "max": samples.max(),
        "mean": samples.mean(),
        "median": median,
        "min": samples.min(),
        "percentile_00_5": low,
        "percentile_99_5": high,
        "std": samples.std(),
    }
    return {name: float(value) for name, value in expected.items()}


KINDS = {
    "smooth": lambda random, size: random.normal(40, 300, size),
    "whole numbers": lambda random, size: np.rint(random.normal(40, 300, size)),
    "tiny": lambda random, size: random.normal(0, 1e-30, size),
    "constant": lambda random, size: np.full(size, -5.5),
    "few values": lambda random, size: random.choice([-1000.0, 0.0, 3.0], size),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 137, 201, 202, 1000, 12345])
def test_statistics_equal_those_of_numpy(kind, dtype, size):
    # A case without foreground widens float32 samples to float64.
    samples = KINDS[kind](np.random.RandomState(3), size).astype(np.float32).astype(dtype)
    got = intensity_statistics(samples)
    assert list(got) == sorted(got)
    assert got == of_numpy(samples)
    assert all(type(value) is float for value in got.values())


def test_a_sum_is_divided_as_numpy_does_by_a_number_that_float32_cannot_hold():
    # Six cases have 6 x 16666666 samples. numpy divides a float32 sum by its integer count in float64.
    size = 99_999_996
    sums = np.random.RandomState(0).uniform(1e10, 3e11, 1000).astype(np.float32)
    expected = [np.float32(total / np.int64(size)) for total in sums]
    assert [module._divided(total, size) for total in sums] == expected
    assert [total / np.float32(size) for total in sums] != expected


@pytest.mark.parametrize("dtype", [np.float64, np.int16])
def test_samples_that_are_not_float32_are_measured_all_the_same(dtype):
    samples = np.random.RandomState(3).normal(40, 300, 1000).astype(dtype)
    assert intensity_statistics(samples) == of_numpy(samples)


def test_samples_are_asked_for_in_order_twice_and_never_all_at_once():
    samples = np.random.RandomState(3).normal(40, 300, 5000).astype(np.float32)
    taken = []

    class Reader:
        def __init__(self):
            self.next = 0

        def take(self, count):
            taken.append(count)
            self.next += count
            return samples[self.next - count : self.next]

    assert streamed_statistics(len(samples), Reader) == of_numpy(samples)
    assert sum(taken) == 2 * len(samples)
    assert max(taken) <= module.PIECE
