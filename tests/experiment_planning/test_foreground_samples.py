"""Sampling against its plain numpy twin, digit by digit."""

import numpy as np
import pytest

from nnunetv2.experiment_planning.dataset_fingerprint import foreground_samples
from nnunetv2.experiment_planning.dataset_fingerprint.foreground_samples import (
    CaseSamples,
    ChannelPool,
    IndexStream,
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
        size = pool.next_channel()
        for _ in range(2):
            reader = pool.reader()
            got = np.concatenate([reader.take(7), reader.take(size - 7)])
            assert got.dtype == expected.dtype == (np.float64 if 0 in sizes else np.float32)
            assert np.array_equal(got, expected)


@pytest.mark.parametrize("n", [1, 2, 5, 1000, 1024, 1025, 100_000])
def test_indices_equal_those_of_randint(small_chunks, n):
    stream, state = IndexStream(SEED, n), np.random.RandomState(SEED)
    for count in (3, 1000, 1, 500):
        assert np.array_equal(stream.take(count), state.randint(0, n, size=count))


def test_an_index_stream_continues_from_a_position_it_had(small_chunks):
    stream = IndexStream(SEED, 300)
    stream.take(50)
    position = stream.position()
    first = stream.take(400)
    stream.go_to(position)
    assert np.array_equal(stream.take(400), first)


def test_a_case_hands_over_voxels_or_samples_whichever_are_fewer():
    few, many = cases((30, 300))
    assert CaseSamples.prepare(few, 100, SEED).channels[0].size == 30
    assert CaseSamples.prepare(many, 100, SEED).channels[0].size == 100


def test_data_sets_without_foreground_have_no_samples():
    pool = ChannelPool([CaseSamples.prepare(f, 100, SEED) for f in cases((0, 0))])
    assert pool.next_channel() == 0
