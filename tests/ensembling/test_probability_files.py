"""Probability files are read and written channel by channel."""

import numpy as np
import pytest

from nnunetv2.ensembling.probability_files import (
    ProbabilityFile,
    mean_channels,
    probabilities_shape,
    saved_on_the_way,
)
from nnunetv2.errors import FileContentError, ImageError, MissingFileError


def write(path, array, compressed=True):
    (np.savez_compressed if compressed else np.savez)(path, probabilities=array)
    return path


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_channels_equal_those_of_the_loaded_array(tmp_path, rng, dtype, compressed):
    array = rng.uniform(size=(3, 4, 5, 2)).astype(dtype)
    path = write(tmp_path / "a.npz", array, compressed)
    with ProbabilityFile(path) as file:
        channels = [file.next_channel() for _ in range(file.shape[0])]
    assert all(channel.dtype == np.float32 for channel in channels)
    np.testing.assert_array_equal(np.stack(channels), array.astype(np.float32))
    assert probabilities_shape(path) == array.shape


def test_arrays_larger_than_a_block_are_read_whole(tmp_path, rng, monkeypatch):
    monkeypatch.setattr("nnunetv2.ensembling.probability_files._BLOCK", 7)
    array = rng.uniform(size=(2, 3, 4, 5)).astype(np.float32)
    np.testing.assert_array_equal(list(mean_channels([write(tmp_path / "a.npz", array)])), array)


def test_an_array_stored_by_columns_is_read_as_well(tmp_path, rng):
    array = np.asfortranarray(rng.uniform(size=(2, 3, 4, 5)).astype(np.float32))
    np.testing.assert_array_equal(list(mean_channels([write(tmp_path / "a.npz", array)])), array)


def test_the_mean_is_the_sum_in_order_divided_by_the_count(tmp_path, rng):
    arrays = [rng.uniform(size=(3, 2, 4, 5)).astype(np.float32) for _ in range(3)]
    paths = [write(tmp_path / f"{i}.npz", array) for i, array in enumerate(arrays)]
    expected = ((arrays[0] + arrays[1]) + arrays[2]) / np.float32(3)
    np.testing.assert_array_equal(list(mean_channels(paths)), expected)


def test_channels_taken_are_channels_saved(tmp_path, rng):
    array = rng.uniform(size=(3, 2, 4, 5)).astype(np.float32)
    with saved_on_the_way(iter(array), tmp_path / "out.npz", array.shape) as channels:
        taken = list(channels)
    np.testing.assert_array_equal(taken, array)
    saved = np.load(tmp_path / "out.npz")
    assert list(saved) == ["probabilities"]
    assert saved["probabilities"].dtype == np.float32
    np.testing.assert_array_equal(saved["probabilities"], array)
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]


def test_nothing_is_left_behind_when_averaging_fails(tmp_path):
    with pytest.raises(KeyError), saved_on_the_way(iter([]), tmp_path / "out.npz", (1, 1, 1, 1)):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_different_shapes_are_an_error_that_names_both_files(tmp_path):
    paths = [write(tmp_path / f"{n}.npz", np.zeros((2, 3, 4, n), np.float32)) for n in (5, 6)]
    with pytest.raises(ImageError, match=r"5\.npz.*\(2, 3, 4, 5\).*6\.npz.*\(2, 3, 4, 6\)"):
        list(mean_channels(paths))


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(MissingFileError, match="save_probabilities"):
        probabilities_shape(tmp_path / "no.npz")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content[:200] + bytes(100) + content[300:],
    ],
    ids=["cut off", "empty", "overwritten"],
)
def test_a_damaged_file_is_named(tmp_path, rng, spoil):
    path = write(tmp_path / "a.npz", rng.uniform(size=(2, 9, 9, 9)).astype(np.float32))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(FileContentError, match=r"a\.npz.*Predict again"):
        list(mean_channels([path]))


@pytest.mark.parametrize("array", [np.array([{}], dtype=object), np.zeros((2, 3), dtype=int), np.float32(1)])
def test_other_content_is_refused_and_never_unpickled(tmp_path, array):
    with pytest.raises(FileContentError, match=r"a\.npz"):
        probabilities_shape(write(tmp_path / "a.npz", array))


def test_a_file_without_probabilities_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", softmax=np.zeros((2, 3)))
    with pytest.raises(FileContentError, match="probabilities"):
        probabilities_shape(tmp_path / "a.npz")
