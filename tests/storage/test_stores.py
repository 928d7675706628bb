import pytest

from nnunetv2.errors import DatasetError
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.training.dataloading import nnunet_dataset


def test_a_folder_tells_its_format(folder, store):
    assert infer_dataset_class(folder) is store


def test_strange_files_do_not_matter(folder, store, tmp_path):
    for name in ("notes.txt", ".DS_Store", "a.npy", "a_seg.npy", "thumbs.db", ".hidden.npz", ".hidden.b2nd"):
        (tmp_path / "cases" / name).write_text("")
    assert infer_dataset_class(folder) is store
    assert store(folder).identifiers == ["a", "b", "c"]


def test_two_formats_in_one_folder_are_an_error(tmp_path):
    for name in ("a.b2nd", "b.npz"):
        (tmp_path / name).write_text("")
    with pytest.raises(DatasetError, match="more than one format"):
        infer_dataset_class(str(tmp_path))


def test_no_cases_are_an_error_that_says_what_to_do(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DatasetError, match="nnUNetv2_preprocess"):
            infer_dataset_class(str(folder))


def test_the_established_import_path_gives_the_same_objects():
    assert nnunet_dataset.nnUNetDatasetBlosc2 is nnUNetDatasetBlosc2
    assert nnunet_dataset.nnUNetDatasetNumpy is nnUNetDatasetNumpy
    assert nnunet_dataset.infer_dataset_class is infer_dataset_class
