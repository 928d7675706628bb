from __future__ import annotations

import json
from pathlib import Path

import pytest

from nnunetv2.dataset_conversion.commands import convert_old_nnunet_entry_point
from nnunetv2.dataset_conversion.convert_raw_dataset_from_old_nnunet_format import convert
from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from tests.dataset_conversion.images import tree, write_image, write_labels

TARGET = "Dataset055_Prostate"


@pytest.fixture
def task(tmp_path) -> Path:
    """A data set of nnU-Net v1 with two channels and optional folders."""
    folder = tmp_path / "Task055_Prostate"
    for index in range(2):
        for channel in range(2):
            write_image(folder / "imagesTr" / f"p_{index}_{channel:04d}.nii.gz", index)
        write_labels(folder / "labelsTr" / f"p_{index}.nii.gz")
    write_image(folder / "imagesVal" / "p_8_0000.nii.gz")
    write_labels(folder / "labelsTs" / "p_9.nii.gz")
    description = {
        "name": "Prostate",
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "prostate"},
        "numTraining": 2,
        "numTest": 0,
        "tensorImageSize": "4D",
        "training": [],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def raw(folders) -> Path:
    return folders["nnUNet_raw"]


def test_images_are_copied_and_the_description_rewritten(task, raw):
    assert convert(task, TARGET) == str(raw / TARGET)
    assert tree(raw / TARGET) == tree(task)
    image = "imagesTr/p_1_0001.nii.gz"
    assert (raw / TARGET / image).read_bytes() == (task / image).read_bytes()
    assert json.loads((raw / TARGET / "dataset.json").read_text()) == {
        "name": "Prostate",
        "labels": {"background": 0, "prostate": 1},
        "numTraining": 2,
        "file_ending": ".nii.gz",
        "channel_names": {"0": "T2", "1": "ADC"},
    }
    verify_dataset_integrity(str(raw / TARGET), 1)


@pytest.mark.parametrize(
    "name", ["Task055_Prostate", "Dataset55_Prostate", "Dataset055", "../Dataset055_X", "Dataset055_a b"]
)
def test_a_name_that_v2_does_not_understand_is_refused(name, task, raw):
    with pytest.raises(UsageError, match="no name of a data set"):
        convert(task, name)
    assert not list(raw.iterdir())


def test_an_existing_data_set_is_left_alone(task, raw):
    (raw / TARGET).mkdir()
    with pytest.raises(UsageError, match="exists already"):
        convert(task, TARGET)
    assert not list((raw / TARGET).iterdir())


def test_a_number_of_another_data_set_is_refused_but_results_of_this_one_are_fine(task, folders):
    (folders["nnUNet_results"] / TARGET).mkdir()
    convert(task, TARGET)
    with pytest.raises(DatasetError, match=f"number 55 belongs to {TARGET}"):
        convert(task, "Dataset055_Other")


@pytest.mark.parametrize(
    ("remove", "error", "message"),
    [
        ("imagesTr/p_1_0001.nii.gz", DatasetError, r"lacks 1 file\(s\) .*p_1_0001.nii.gz"),
        ("labelsTr/p_0.nii.gz", DatasetError, "images without a label.*p_0"),
        ("dataset.json", MissingFileError, "dataset.json does not exist"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing_behind(remove, error, message, task, raw):
    (task / remove).unlink()
    with pytest.raises(error, match=message):
        convert(task, TARGET)
    assert not list(raw.iterdir())


def test_missing_and_empty_folders_are_named(task, raw):
    for path in (task / "labelsTr").iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="labelsTr has no .nii.gz files"):
        convert(task, TARGET)
    (task / "labelsTr").rmdir()
    with pytest.raises(MissingFileError, match="labelsTr does not exist"):
        convert(task, TARGET)


def test_a_truncated_image_leaves_nothing_behind(task, raw):
    path = task / "imagesVal" / "p_8_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(RuntimeError, match="p_8_0000.nii.gz is truncated"):
        convert(task, TARGET)
    assert not list(raw.iterdir())


def test_the_command_takes_two_names(task, raw, capsys):
    convert_old_nnunet_entry_point([str(task), TARGET])
    assert (raw / TARGET / "dataset.json").exists()
    with pytest.raises(SystemExit) as end:
        convert_old_nnunet_entry_point([str(task), "Prostate"])
    assert end.value.code == 1
    assert "'Prostate' is no name" in capsys.readouterr().err
