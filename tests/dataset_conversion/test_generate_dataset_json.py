from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from nnunetv2.errors import LabelsError, MissingFileError
from nnunetv2.records.dataset_json import DatasetJson

LABELS = {"background": 0, "tumour": 1}


def written(folder):
    return json.loads((folder / "dataset.json").read_text())


def test_the_order_of_arguments_is_the_established_one():
    assert list(inspect.signature(generate_dataset_json).parameters) == [
        "output_folder",
        "channel_names",
        "labels",
        "num_training_cases",
        "file_ending",
        "citation",
        "regions_class_order",
        "dataset_name",
        "reference",
        "release",
        "description",
        "overwrite_image_reader_writer",
        "license",
        "converted_by",
        "kwargs",
    ]


def test_what_is_needed_is_written_in_order_with_text_keys_and_integers(tmp_path):
    labels = {"background": np.int64(0), "tumour": "1"}
    generate_dataset_json(tmp_path, {0: "CT", 1: "PET"}, labels, np.int64(7), ".nii.gz")
    content = written(tmp_path)
    assert list(content) == ["channel_names", "labels", "numTraining", "file_ending", "licence", "converted_by"]
    assert content["channel_names"] == {"0": "CT", "1": "PET"}
    assert content["labels"] == {"background": 0, "tumour": 1}
    assert content["numTraining"] == 7
    assert DatasetJson.load(tmp_path / "dataset.json").file_ending == ".nii.gz"


def test_optional_entries_follow_in_order_and_further_ones_replace(tmp_path):
    people = ("Name", "https://example.org", "1.0", "text", "NibabelIO", "CC0", "me")
    generate_dataset_json(
        str(tmp_path), {0: "CT"}, LABELS, 1, ".nrrd", "Doe 2020", None, *people, extra=5, numTraining=3
    )
    content = written(tmp_path)
    assert list(content)[4:] == [
        "licence",
        "converted_by",
        "name",
        "reference",
        "release",
        "citation",
        "description",
        "overwrite_image_reader_writer",
        "extra",
    ]
    assert content["citation"] == "Doe 2020"
    assert content["release"] == "1.0"
    assert content["licence"] == "CC0"
    assert content["numTraining"] == 3


def test_the_order_of_regions_is_kept(tmp_path):
    labels = {"background": 0, "whole": (1, 2, 3), "core": [2, 3], "active": 3, "ignore": 4}
    generate_dataset_json(tmp_path, {0: "T1"}, labels, 3, ".nii.gz", regions_class_order=(1, 2, 3))
    content = written(tmp_path)
    assert list(content["labels"]) == ["background", "whole", "core", "active", "ignore"]
    assert content["labels"]["whole"] == [1, 2, 3]
    assert content["regions_class_order"] == [1, 2, 3]


def test_the_given_dictionaries_are_not_changed(tmp_path):
    channels, labels = {0: "CT"}, {"background": "0", "tumour": "1"}
    generate_dataset_json(tmp_path, channels, labels, 3, ".nii.gz")
    assert channels == {0: "CT"}
    assert labels == {"background": "0", "tumour": "1"}


def test_regions_need_their_class_order(tmp_path):
    with pytest.raises(LabelsError, match="regions_class_order"):
        generate_dataset_json(tmp_path, {0: "CT"}, {"background": 0, "whole": (1, 2), "core": 2}, 3, ".nii.gz")
    assert not (tmp_path / "dataset.json").exists()


def test_a_label_that_is_no_integer_is_named(tmp_path):
    with pytest.raises(LabelsError, match=r"labels\.tumour is 'x'"):
        generate_dataset_json(tmp_path, {0: "CT"}, {"background": 0, "tumour": "x"}, 3, ".nii.gz")


def test_the_folder_must_exist(tmp_path):
    with pytest.raises(MissingFileError, match="typo"):
        generate_dataset_json(tmp_path / "typo", {0: "CT"}, LABELS, 3, ".nii.gz")
