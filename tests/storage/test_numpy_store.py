import io
import os
import zipfile
from os.path import join

import numpy as np
import pytest

from nnunetv2.errors import CaseFailures, FileContentError
from nnunetv2.storage import archive_members, numpy_store
from nnunetv2.storage.dataset import write_properties
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.storage.unpacking import unpack_dataset
from nnunetv2.utilities.available_memory import require_memory
from tests.storage.conftest import make_case


@pytest.fixture
def store():
    return nnUNetDatasetNumpy


def test_unpacked_cases_are_memory_mapped(folder):
    nnUNetDatasetNumpy.unpack_dataset(folder, num_processes=1)
    assert sorted(n for n in os.listdir(folder) if n.endswith(".npy")) == [
        f"{name}{kind}.npy" for name in "abc" for kind in ("", "_seg")
    ]
    data, seg, _, _ = nnUNetDatasetNumpy(folder).load_case("b")
    assert isinstance(data, np.memmap)
    assert isinstance(seg, np.memmap)
    assert np.array_equal(data, make_case(1)[0])
    assert nnUNetDatasetNumpy.get_identifiers(folder) == ["a", "b", "c"]


def test_existing_files_are_kept_unless_told_otherwise(folder):
    np.save(join(folder, "a.npy"), np.zeros(3))
    unpack_dataset(folder, num_processes=1)
    assert np.load(join(folder, "a.npy")).shape == (3,)
    unpack_dataset(folder, num_processes=1, overwrite_existing=True)
    assert np.array_equal(np.load(join(folder, "a.npy")), make_case(0)[0])


def test_segmentations_can_be_left_packed(folder):
    unpack_dataset(folder, unpack_segmentation=False, num_processes=1, verify=True)
    assert not [n for n in os.listdir(folder) if n.endswith("_seg.npy")]
    assert np.array_equal(nnUNetDatasetNumpy(folder).load_case("c")[1], make_case(2)[1])


@pytest.mark.parametrize("keyword", ["verify", "verify_npy"])
def test_damaged_files_are_unpacked_again(folder, keyword):
    with open(join(folder, "b_seg.npy"), "wb") as stream:
        stream.write(b"\x93NUMPY broken")
    unpack_dataset(folder, num_processes=1, **{keyword: True})
    assert np.array_equal(np.load(join(folder, "b_seg.npy")), make_case(1)[1])


def test_files_that_stay_damaged_are_an_error(folder, monkeypatch):
    def spoil(path, array):
        with open(path, "wb") as stream:
            stream.write(b"disk full")

    monkeypatch.setattr(numpy_store.np, "save", spoil)
    with pytest.raises(FileContentError, match="a, b, c"):
        unpack_dataset(folder, num_processes=1, verify=True)


def test_a_damaged_archive_is_named_and_the_others_are_unpacked(folder):
    with open(join(folder, "b.npz"), "wb") as stream:
        stream.write(b"broken")
    with pytest.raises(CaseFailures, match=r"b: FileContentError: .*b\.npz"):
        unpack_dataset(folder, num_processes=1)
    assert os.path.isfile(join(folder, "c.npy"))


def test_an_archive_without_its_arrays_is_an_error(folder):
    np.savez(join(folder, "a.npz"), other=np.zeros(3))
    with pytest.raises(FileContentError, match=r"a\.npz.*data"):
        nnUNetDatasetNumpy(folder).load_case("a")


def test_archives_with_objects_are_refused(folder):
    np.savez(join(folder, "a.npz"), data=np.array([{}], dtype=object), seg=np.zeros(3))
    with pytest.raises(FileContentError, match=r"a\.npz"):
        nnUNetDatasetNumpy(folder).load_case("a")


@pytest.mark.slow
def test_an_array_beyond_the_memory_there_is_is_not_unpacked(folder, monkeypatch, tmp_path):
    def with_little_memory(needed: int, what: str, way_out: str) -> None:
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "meminfo").write_text("MemTotal: 1 kB\nSwapTotal: 0 kB\n")
        require_memory(needed, what, way_out, tmp_path)

    monkeypatch.setattr(archive_members, "require_memory", with_little_memory)
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("was unpacked"))
    case = nnUNetDatasetNumpy.get_identifiers(folder)[0]
    with pytest.raises(FileContentError, match=rf"{case}\.npz cannot be read: .*array data, unpacked, needs at least"):
        nnUNetDatasetNumpy(folder).load_case(case)


def test_unpacking_in_processes_gives_the_same(folder):
    nnUNetDatasetNumpy.unpack_dataset(folder, num_processes=2)
    for seed, name in enumerate("abc"):
        assert np.array_equal(np.load(join(folder, name + ".npy")), make_case(seed)[0])


def test_a_shape_that_a_flipped_bit_made_smaller_is_found(tmp_path):
    """The checksum comes behind the array, and numpy stops where the shape says that it ends."""
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:  # stored as it is, so that the bit can be found
        for key in ("data", "seg"):
            stream = io.BytesIO()
            np.save(stream, np.ones((1, 40, 50, 60), np.int16))
            archive.writestr(f"{key}.npy", stream.getvalue())
    write_properties(str(tmp_path / "a"), {})
    nnUNetDatasetNumpy(tmp_path).load_case("a")
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content.replace(b"(1, 40, 50, 60)", b"(1, 40, 50, 20)", 1))
    with pytest.raises(FileContentError, match=r"a\.npz cannot be read: .*\(1, 40, 50, 20\)"):
        nnUNetDatasetNumpy(tmp_path).load_case("a")
    (tmp_path / "a.npz").write_bytes(content.replace(b"\1\0\1\0\1\0", b"\1\0\1\0\2\0", 1))
    with pytest.raises(FileContentError, match=r"a\.npz cannot be read: .*CRC"):
        nnUNetDatasetNumpy(tmp_path).load_case("a")
