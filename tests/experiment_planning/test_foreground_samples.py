"""Sampling and statistics against their plain numpy twins, digit by digit."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.dataset_fingerprint import foreground_samples
from nnunetv2.experiment_planning.dataset_fingerprint.foreground_samples import (
    CaseSamples,
    ChannelPool,
    intensity_statistics,
)

SEED = 1234


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks so small that a few hundred samples need several."""
    monkeypatch.setattr(foreground_samples, "CHUNK", 136)


def naive(foreground_of_cases, num_samples):
    """What published fingerprints did: choose per case, join lists, one channel after the other."""
    samples = []
    for foreground in foreground_of_cases:
        state = np.random.RandomState(SEED)
        samples.append([state.choice(v, num_samples, replace=True) if len(v) else [] for v in foreground])
    return [np.concatenate(channel) for channel in zip(*samples)]


def cases(sizes, channels=2):
    rng = np.random.RandomState(9)
    return [[rng.normal(40, 200, n).astype(np.float32) for _ in range(channels)] for n in sizes]


@pytest.mark.parametrize("sizes", [(50, 700, 1000), (50, 0, 1000)], ids=["all foreground", "one case without"])
@pytest.mark.parametrize("num_samples", [600, 601])
def test_samples_equal_those_of_choice(small_chunks, sizes, num_samples):
    foreground = cases(sizes)
    pool = ChannelPool([CaseSamples.prepare(f, num_samples, SEED) for f in foreground])
    for expected in naive(foreground, num_samples):
        got = pool.next_channel()
        assert got.dtype == expected.dtype == (np.float64 if 0 in sizes else np.float32)
        assert np.array_equal(got, expected)


def test_a_case_hands_over_voxels_or_samples_whichever_are_fewer():
    few, many = cases((30, 300))
    assert CaseSamples.prepare(few, 100, SEED).channels[0].size == 30
    assert CaseSamples.prepare(many, 100, SEED).channels[0].size == 100


def test_data_sets_without_foreground_have_no_samples():
    pool = ChannelPool([CaseSamples.prepare(f, 100, SEED) for f in cases((0, 0))])
    assert pool.next_channel().size == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 7, 137, 1000, 12345])
def test_statistics_equal_those_of_numpy(small_chunks, dtype, size):
    samples = np.random.RandomState(3).normal(40, 300, size).astype(dtype)
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
    got = intensity_statistics(samples.copy())
    assert list(got) == sorted(expected)
    assert got == {name: float(value) for name, value in expected.items()}
    assert all(type(value) is float for value in got.values())
