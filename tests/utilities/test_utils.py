import json
import os

import numpy as np
import pytest

from nnunetv2.errors import DatasetError
from nnunetv2.utilities import utils
from nnunetv2.utilities.collate_outputs import collate_outputs
from nnunetv2.utilities.json_export import recursive_fix_for_json_export


def touch(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


DATASET = {"channel_names": {"0": "a", "1": "b"}, "labels": {"background": 0}, "file_ending": ".nii.gz"}


def test_channel_files_are_grouped_by_case_in_order(tmp_path):
    touch(tmp_path, "b_0001.nii.gz", "b_0000.nii.gz", "a_1_0000.nii.gz", "a_0000.nii.gz", "x.json")
    assert utils.get_identifiers_from_splitted_dataset_folder(str(tmp_path), ".nii.gz") == ["a", "a_1", "b"]
    lists = utils.create_lists_from_splitted_dataset_folder(str(tmp_path), ".nii.gz", ["b", "a"])
    assert [[os.path.basename(f) for f in case] for case in lists] == [
        ["b_0000.nii.gz", "b_0001.nii.gz"],
        ["a_0000.nii.gz"],
    ]
    assert utils.create_paths_fn("f", ["a_0000.png", "aa_0000.png"], ".png", "a") == [os.path.join("f", "a_0000.png")]


def test_a_file_without_channel_number_is_named(tmp_path):
    touch(tmp_path, "a_0000.nii.gz", "liver.nii.gz")
    with pytest.raises(DatasetError, match=r"liver\.nii\.gz.*liver_0000\.nii\.gz"):
        utils.get_identifiers_from_splitted_dataset_folder(str(tmp_path), ".nii.gz")


def test_training_cases_come_with_their_label(tmp_path):
    touch(tmp_path / "imagesTr", "a_0000.nii.gz", "a_0001.nii.gz")
    cases = utils.get_filenames_of_train_images_and_targets(str(tmp_path), DATASET)
    assert cases["a"]["label"] == str(tmp_path / "labelsTr" / "a.nii.gz")
    assert len(cases["a"]["images"]) == 2


def test_an_empty_image_folder_is_an_error_not_zero_cases(tmp_path):
    touch(tmp_path / "imagesTr", "readme.txt")
    with pytest.raises(DatasetError, match=r"no files ending with '\.nii\.gz'"):
        utils.get_filenames_of_train_images_and_targets(str(tmp_path), DATASET)
    with pytest.raises(DatasetError, match="imagesTr does not exist"):
        utils.get_filenames_of_train_images_and_targets(str(tmp_path / "none"), DATASET)


def test_explicit_lists_are_expanded_and_keep_their_order_and_the_callers_dict(tmp_path, monkeypatch):
    monkeypatch.setenv("SOMEWHERE", "/elsewhere")
    entry = {
        "z": {"images": ["$SOMEWHERE/z.png"], "label": "l/z.png"},
        "a": {"images": ["a.png"], "label": "/abs/a.png"},
    }
    content = DATASET | {"dataset": entry}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    cases = utils.get_filenames_of_train_images_and_targets(str(tmp_path))
    assert list(cases) == ["z", "a"]
    assert cases["z"] == {"images": ["/elsewhere/z.png"], "label": str(tmp_path / "l" / "z.png")}
    assert entry["a"]["images"] == ["a.png"]


def test_outputs_are_collated_by_kind():
    steps = [
        {"loss": 1.0, "tp": np.array([1, 2]), "names": ["a"]},
        {"loss": 2.0, "tp": np.array([3, 4]), "names": ["b"]},
    ]
    collated = collate_outputs(steps)
    assert collated["loss"] == [1.0, 2.0] and collated["names"] == ["a", "b"]
    np.testing.assert_array_equal(collated["tp"], [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="'x' is dict"):
        collate_outputs([{"x": {}}])


def test_numpy_values_and_keys_become_plain():
    content = {np.int64(1): np.float32(0.5), "t": (np.arange(3), np.uint16(7)), "n": {"a": np.bool_(True)}}
    recursive_fix_for_json_export(content)
    assert content == {1: 0.5, "t": ([0, 1, 2], 7), "n": {"a": True}}
    assert json.dumps(content)
