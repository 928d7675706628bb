"""What both formats must do alike."""

import os
import pickle
from os.path import join

import numpy as np
import pytest

from nnunetv2.errors import DatasetError, FileContentError, MissingFileError
from tests.storage.conftest import make_case


def assert_same_properties(ours, expected):
    assert list(ours) == list(expected)
    assert ours["spacing"] == expected["spacing"]
    assert list(ours["class_locations"]) == list(expected["class_locations"])
    for key, value in expected["class_locations"].items():
        assert np.array_equal(ours["class_locations"][key], value)


def test_saving_then_loading_gives_the_case_back(store, folder):
    dataset = store(folder)
    for seed, name in enumerate("abc"):
        data, seg, previous, properties = dataset.load_case(name)
        expected = make_case(seed)
        assert np.array_equal(data[:], expected[0])
        assert data.dtype == np.float32
        assert np.array_equal(seg[:], expected[1])
        assert seg.dtype == np.int16
        assert previous is None
        assert_same_properties(properties, expected[2])


def test_parts_can_be_read_alone(store, folder):
    data, seg, *_ = store(folder).load_case("b")
    expected = make_case(1)
    part = (slice(1, 2), slice(2, 5), slice(3, 14), slice(0, 4))
    assert isinstance(np.asarray(data[part]), np.ndarray)
    assert np.array_equal(data[part], expected[0][part])
    assert np.array_equal(seg[:, 2:5], expected[1][:, 2:5])


def test_all_cases_of_the_folder_are_found_in_order(store, folder):
    dataset = store(folder)
    assert dataset.identifiers == ["a", "b", "c"]
    assert dataset.keys() == dataset.identifiers
    assert len(dataset) == 3
    assert dataset.source_folder == folder
    assert store.get_identifiers(folder) == ["a", "b", "c"]


def test_the_callers_list_is_neither_sorted_nor_kept(store, folder):
    wanted = ["c", "a"]
    dataset = store(folder, wanted)
    assert dataset.identifiers == ["a", "c"]
    assert wanted == ["c", "a"]
    wanted.append("b")
    assert len(dataset) == 2


def test_indexing_loads_a_case(store, folder):
    assert np.array_equal(store(folder)["a"][0][:], make_case(0)[0])


def test_names_that_end_like_segmentations_are_refused(store, folder, case):
    with pytest.raises(DatasetError, match="scan_seg"):
        store.save_case(*case, join(folder, "scan_seg"))
    with pytest.raises(DatasetError, match="scan_seg"):
        store(folder, ["scan_seg"])


def test_previous_stage_segmentations_come_along(store, folder, tmp_path):
    previous = str(tmp_path / "predicted_next_stage")
    seg = make_case(0)[1][0].astype(np.uint8)
    store.save_seg(seg, join(previous, "a"))
    dataset = store(folder, folder_with_segs_from_previous_stage=previous)
    loaded = dataset.load_case("a")[2]
    assert np.array_equal(loaded[:], seg)
    assert loaded.dtype == np.uint8
    with pytest.raises(MissingFileError, match="b"):
        dataset.load_case("b")


def test_saving_again_replaces_a_case_and_leaves_no_other_files(store, folder):
    before = sorted(os.listdir(folder))
    store.save_case(*make_case(9), join(folder, "a"))
    assert sorted(os.listdir(folder)) == before
    assert np.array_equal(store(folder).load_case("a")[0][:], make_case(9)[0])


def test_a_failed_save_leaves_no_case(store, folder):
    data, _, properties = make_case(0)
    with pytest.raises(Exception, match=r".") as caught:
        store.save_case(data, seg=_Unsavable(), properties=properties, output_filename_truncated=join(folder, "d"))
    assert caught.type is RuntimeError
    assert "d" not in store.get_identifiers(folder)
    assert not [name for name in os.listdir(folder) if "tmp" in name]


class _Unsavable:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array")


def test_missing_and_damaged_files_are_named(store, folder):
    with pytest.raises(MissingFileError, match="nowhere"):
        store(folder, ["nowhere"]).load_case("nowhere")
    ending = ".b2nd" if "Blosc2" in store.__name__ else ".npz"
    with open(join(folder, "a" + ending), "wb") as stream:
        stream.write(b"damaged")
    with pytest.raises(FileContentError, match="a" + ending):
        store(folder).load_case("a")
    os.remove(join(folder, "b.pkl"))
    with pytest.raises(MissingFileError, match="b.pkl"):
        store(folder).load_case("b")


def test_properties_cannot_run_code(store, folder):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (join(folder, "attacked"),)

    with open(join(folder, "a.pkl"), "wb") as stream:
        pickle.dump({"spacing": Attack()}, stream)
    with pytest.raises(FileContentError, match=r"a\.pkl"):
        store(folder).load_case("a")
    assert not os.path.exists(join(folder, "attacked"))


def test_datasets_pickle_for_worker_processes(store, folder):
    copy = pickle.loads(pickle.dumps(store(folder)))
    assert np.array_equal(copy.load_case("c")[0][:], make_case(2)[0])
