import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnunetv2.preprocessing.preprocessors import foreground_locations
from nnunetv2.preprocessing.preprocessors.foreground_locations import sample_foreground_locations


def naive(seg, entries, seed=1234, at_least=10_000):
    random = np.random.RandomState(seed)
    result = {}
    for entry in entries:
        labels = entry if isinstance(entry, tuple) else (entry,)
        where = np.concatenate([np.argwhere(seg == label) for label in labels])
        result[entry] = []
        if len(where):
            k = max(min(at_least, len(where)), int(np.ceil(0.01 * len(where))))
            result[entry] = where[random.choice(len(where), k, replace=False)]
    return result


def assert_same(ours, expected):
    assert list(ours) == list(expected)
    for key, value in expected.items():
        assert np.array_equal(ours[key], value), key
        assert isinstance(ours[key], list) == (len(value) == 0)


def test_the_random_stream_is_numpys_legacy_choice():
    assert np.random.RandomState(1234).choice(50, 7, replace=False).tolist() == [37, 45, 6, 44, 13, 36, 8]
    drawn = foreground_locations._choice(np.random.RandomState(1234), 50, 7)
    assert drawn.tolist() == [37, 45, 6, 44, 13, 36, 8]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.integers(0, 10_000),
    st.tuples(*[st.integers(1, 12)] * 3),
    st.lists(
        st.one_of(st.integers(-1, 5), st.lists(st.integers(-1, 5), min_size=1, max_size=4).map(tuple)), max_size=6
    ),
    st.sampled_from([np.int8, np.int16, np.float32]),
)
def test_locations_equal_argwhere_and_choice(seed, shape, entries, dtype):
    seg = (np.random.RandomState(seed).randint(0, 5, (1, *shape)) - 1).astype(dtype)
    assert_same(sample_foreground_locations(seg, entries), naive(seg, entries))


def test_large_classes_are_thinned(monkeypatch):
    monkeypatch.setattr(foreground_locations, "MIN_SAMPLES", 20)
    seg = np.ones((1, 16, 16, 16), np.int8)
    seg[0, :2, :2, :2] = 2
    ours = sample_foreground_locations(seg, [1, 2, (1, 2)])
    assert [len(value) for value in ours.values()] == [41, 8, 41]
    assert_same(ours, naive(seg, [1, 2, (1, 2)], at_least=20))


def test_absent_classes_draw_nothing_from_the_stream():
    seg = np.random.RandomState(0).randint(0, 3, (1, 9, 9, 9))
    with_absent = sample_foreground_locations(seg, [7, 1, 9, 2])
    assert with_absent[7] == with_absent[9] == []
    without = sample_foreground_locations(seg, [1, 2])
    assert np.array_equal(with_absent[2], without[2])


def test_locations_are_int64_rows_with_the_channel():
    seg = np.ones((1, 2, 3, 4), np.int8)
    rows = sample_foreground_locations(seg, [np.int64(1)])[1]
    assert rows.dtype == np.int64
    assert rows.shape == (24, 4)
    assert not rows[:, 0].any()


@pytest.mark.parametrize("region", [[1, 2], (1, 2)])
def test_regions_are_keyed_by_tuples_of_plain_ints(region):
    key = next(iter(sample_foreground_locations(np.ones((1, 2, 2, 2), np.int8), [region])))
    assert key == (1, 2)
    assert type(key[0]) is int
