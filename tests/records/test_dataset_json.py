import json

import pytest

from nnunetv2.errors import DatasetError
from nnunetv2.records.dataset_json import DatasetJson
from tests.shared_data import GOLDEN, needs_shared

MINIMAL = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumor": 1}, "file_ending": ".nii.gz"}


def test_unknown_keys_and_spellings_survive_a_round_trip():
    content = {
        "modality": {"0": "T1", "1": "T2"},
        "labels": {"background": 0, "a": [1, 2]},
        "numTraining": 4,
        "file_ending": ".png",
        "regions_class_order": [1],
        "reference": "somewhere",
    }
    record = DatasetJson.from_json(content)
    assert record.to_json() == content
    assert record.num_channels == 2


def test_the_word_none_and_null_mean_no_reader_is_set():
    for value in ("None", None):
        assert (
            DatasetJson.from_json(MINIMAL | {"overwrite_image_reader_writer": value}).overwrite_image_reader_writer
            is None
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_ending": "nii"}, "file_ending is 'nii'"),
        ({"labels": [0, 1]}, "labels is"),
        ({"channel_names": {}}, "channel_names"),
    ],
)
def test_wrong_entries_are_named(change, message):
    with pytest.raises(DatasetError, match=message):
        DatasetJson.from_json(MINIMAL | change, "here/dataset.json")


def test_missing_keys_are_named():
    with pytest.raises(DatasetError, match="labels, file_ending"):
        DatasetJson.from_json({"channel_names": {"0": "CT"}})


@needs_shared
@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/dataset.json")), ids=lambda p: p.parent.name)
def test_published_files_survive_a_round_trip(path):
    content = json.loads(path.read_text())
    assert DatasetJson.load(path).to_json() == content
