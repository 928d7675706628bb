"""Arrays and numbers come out of restricted pickles as numpy's own would; made-up descriptions are refused."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

from nnunetv2.records.plain_pickle import load_plain
from tests.faults import hostile_files as make


def through(content, protocol: int = pickle.DEFAULT_PROTOCOL):
    return load_plain(io.BytesIO(pickle.dumps(content, protocol)))


ARRAYS = {
    "integers": np.arange(12, dtype=np.int64).reshape(3, 4),
    "by columns": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)),
    "transposed": np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(2, 0, 1),
    "big endian": np.arange(5, dtype=">f8"),
    "empty": np.zeros((0, 3), np.uint8),
    "scalar array": np.array(3.5),
    "truth values": np.array([True, False]),
    "text": np.array(["a", "bcd"]),
    "complex": np.array([1 + 2j]),
}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_come_back_writable_with_their_dtype_and_layout(kind, protocol):
    array = ARRAYS[kind]
    found = through({"a": [array]}, protocol)["a"][0]
    assert type(found) is np.ndarray
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert found.flags.writeable
    assert (found == array).all()
    assert found.flags.f_contiguous == pickle.loads(pickle.dumps(array, protocol)).flags.f_contiguous


@pytest.mark.parametrize("number", [np.float32(0.1), np.int64(7), np.bool_(True), np.str_("text")])
@pytest.mark.parametrize("protocol", [2, 5])
def test_numbers_of_numpy_come_back(number, protocol):
    found = through((number,), protocol)[0]
    assert (found, type(found)) == (number, type(number))


def test_containers_keep_what_they_share_and_may_hold_themselves():
    array = np.ones(3)
    shared = [array, array]
    content = {"a": shared, "b": shared, "t": (1, (array,)), "set": {1, 2}, "bytes": bytearray(b"x"), "s": slice(1, 2)}
    content["self"] = content
    found = through(content)
    assert found["a"] is found["b"]
    assert found["a"][0] is found["a"][1]
    assert found["t"][1][0] is found["a"][0]
    assert found["self"] is found
    assert (found["set"], found["bytes"], found["s"]) == ({1, 2}, b"x", slice(1, 2))


def test_many_references_to_the_same_list_are_walked_through_once():
    content: list = []
    for _ in range(200):  # as a tree this has 2 ** 200 leaves
        content = [content, content]
    assert len(through(content)) == 2


def test_a_dtype_alone_comes_back():
    assert through({"dtype": np.dtype("<f4")}) == {"dtype": np.dtype("<f4")}


@pytest.mark.parametrize(
    "content",
    [
        make.array_of_addresses(),
        make.array_with_subarrays(),
        make.array_larger_than_its_bytes(),
        np.array([object()], dtype=object),
        np.zeros(1, dtype="i4, f4"),
        make.Crafted(np.dtype, ("f4,O",)),
        make.Crafted(np.dtype, (["f4"],)),
        make.Crafted(np.float32(0).__reduce__()[0], (np.dtype("f4"), b"123")),
        make.Crafted(np.float32(0).__reduce__()[0], (1, b"1234")),
        make.Crafted(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b")),
        make.Crafted(np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (-1,), np.dtype("f4"), False, b"")),
        make.Crafted(np.zeros(1).__reduce__()[0], (np.dtype, (0,), b"b")),
        make.Crafted(bytearray, (10**15,)),
    ],
    ids=range(13),  # addresses in names would differ between processes
)
def test_made_up_descriptions_are_refused(content):
    with pytest.raises(pickle.UnpicklingError, match="Unsupported content"):
        through(content)
