import numpy as np
import pytest

from nnunetv2.errors import DatasetError
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDataset
from nnunetv2.training.dataloading.utils import get_case_identifiers
from tests.storage.conftest import make_case


def test_load_case_gives_three_values(folder):
    data, seg, properties = nnUNetDataset(folder).load_case("b")
    assert np.array_equal(data[:], make_case(1)[0])
    assert np.array_equal(seg[:], make_case(1)[1])
    assert properties["spacing"] == [2, 1, 1.5]


def test_it_is_a_dictionary_of_cases(folder):
    dataset = nnUNetDataset(folder, ["c", "a"])
    assert list(dataset.keys()) == list(dataset) == dataset.identifiers == ["a", "c"]
    assert len(dataset) == 2
    assert "a" in dataset
    assert "b" not in dataset
    assert dataset["a"]["data_file"].startswith(folder)
    assert dataset["a"]["properties"]["spacing"] == [2, 1, 1.5]
    assert [key for key, _ in dataset.items()] == ["a", "c"]
    assert "properties" not in next(iter(dataset.values()))
    with pytest.raises(KeyError, match="nothing"):
        dataset["nothing"]
    with pytest.raises(DatasetError, match="replaced"):
        dataset["a"] = {}


def test_properties_of_few_cases_can_be_kept_in_memory(folder):
    dataset = nnUNetDataset(folder, num_images_properties_loading_threshold=10)
    assert all("properties" in entry for entry in dataset.values())


def test_previous_stage_becomes_the_second_channel(folder, store, tmp_path):
    previous = make_case(0)[1][0].astype(np.uint8)
    store.save_seg(previous, str(tmp_path / "previous" / "a"))
    dataset = nnUNetDataset(folder, ["a"], folder_with_segs_from_previous_stage=str(tmp_path / "previous"))
    seg = dataset.load_case("a")[1]
    assert seg.shape == (2, 9, 14, 11)
    assert seg.dtype == np.int16
    assert np.array_equal(seg[1], previous)
    assert dataset["a"]["seg_from_prev_stage_file"].startswith(str(tmp_path / "previous"))


def test_identifiers_are_listed_for_both_formats(folder):
    assert get_case_identifiers(folder) == ["a", "b", "c"]
