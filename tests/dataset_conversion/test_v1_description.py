import pytest

from nnunetv2.dataset_conversion.v1_description import described_as_v2, labels_by_name
from nnunetv2.errors import DatasetError, LabelsError

OLD = {
    "name": "Liver",
    "tensorImageSize": "3D",
    "modality": {"0": "CT"},
    "labels": {"0": "background", "1": "liver", "2": "cancer"},
    "numTraining": 2,
    "numTest": 0,
    "training": [{"image": "x", "label": "y"}],
    "test": [],
}


def test_labels_are_turned_around_and_lists_of_cases_dropped():
    new = described_as_v2(OLD, "dataset.json", 2)
    assert new["labels"] == {"background": 0, "liver": 1, "cancer": 2}
    assert new["channel_names"] == {"0": "CT"}
    assert new["file_ending"] == ".nii.gz"
    assert new["numTraining"] == 2
    assert set(new) == {
        "name", "tensorImageSize", "numTest", "labels", "channel_names", "file_ending", "numTraining",
    }  # fmt: skip
    assert "modality" in OLD


def test_entries_nobody_reads_can_be_dropped_and_may_be_absent():
    new = described_as_v2(OLD, "dataset.json", 2, drop_unread=True)
    assert set(new) == {"name", "labels", "channel_names", "file_ending", "numTraining"}
    assert described_as_v2({"modality": {"0": "CT"}, "labels": {"0": "background"}}, "d", 1, True)["numTraining"] == 1


def test_a_wrong_number_of_cases_is_corrected():
    assert described_as_v2(OLD, "dataset.json", 5)["numTraining"] == 5


def test_label_0_is_called_background():
    assert labels_by_name({"0": "Clear Label", "1": "liver"}, "d") == {"background": 0, "liver": 1}


def test_names_that_would_lose_a_label_are_refused():
    with pytest.raises(LabelsError, match="labels 1 and 2 are both called 'liver'"):
        labels_by_name({"0": "background", "1": "liver", "2": "liver"}, "d")


def test_labels_that_are_turned_around_already_are_refused():
    with pytest.raises(LabelsError, match="folder/dataset.json: labels has the key 'background'"):
        labels_by_name({"background": 0}, "folder/dataset.json")


def test_what_is_missing_is_named():
    with pytest.raises(DatasetError, match="folder/dataset.json has no mapping under labels and modality"):
        described_as_v2({"name": "x"}, "folder/dataset.json", 1)
