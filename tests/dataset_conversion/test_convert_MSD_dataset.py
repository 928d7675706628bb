from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest

from nnunetv2.dataset_conversion.commands import convert_msd_entry_point
from nnunetv2.dataset_conversion.convert_MSD_dataset import convert_msd_dataset, parse_task_name
from nnunetv2.errors import DatasetError, LabelsError, MissingFileError, UsageError
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from tests.dataset_conversion.images import read, tree, write_4d, write_image, write_labels

CASES = ("heart_1", "heart_2")


def write_task(folder: Path, channels: int = 1, with_test: bool = True) -> Path:
    for index, case in enumerate(CASES):
        if channels == 1:
            write_image(folder / "imagesTr" / f"{case}.nii.gz", index)
        else:
            write_4d(folder / "imagesTr" / f"{case}.nii.gz", channels)
        write_labels(folder / "labelsTr" / f"{case}.nii.gz")
    (folder / "imagesTr" / "._heart_1.nii.gz").write_text("what macOS leaves behind")
    if with_test:
        write_image(folder / "imagesTs" / "heart_9.nii.gz", 9)
    description = {
        "name": "Heart",
        "licence": "CC-BY-SA 4.0",
        "modality": {str(channel): f"MRI{channel}" for channel in range(channels)},
        "labels": {"0": "background", "1": "left atrium"},
        "numTraining": 2,
        "training": [],
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture
def raw(folders) -> Path:
    return folders["nnUNet_raw"]


def test_the_order_of_arguments_is_the_established_one():
    parameters = list(inspect.signature(convert_msd_dataset).parameters)
    assert parameters == ["source_folder", "overwrite_target_id", "num_processes"]


def test_3d_images_are_copied_under_the_name_of_their_only_channel(raw, tmp_path):
    source = write_task(tmp_path / "Task02_Heart")
    target = convert_msd_dataset(source, num_processes=1)
    assert target == str(raw / "Dataset002_Heart")
    assert tree(raw / "Dataset002_Heart") == {
        "dataset.json",
        "imagesTr/heart_1_0000.nii.gz",
        "imagesTr/heart_2_0000.nii.gz",
        "imagesTs/heart_9_0000.nii.gz",
        "labelsTr/heart_1.nii.gz",
        "labelsTr/heart_2.nii.gz",
    }
    copied = raw / "Dataset002_Heart" / "imagesTr" / "heart_2_0000.nii.gz"
    assert copied.read_bytes() == (source / "imagesTr" / "heart_2.nii.gz").read_bytes()
    description = json.loads((raw / "Dataset002_Heart" / "dataset.json").read_text())
    assert description["labels"] == {"background": 0, "left atrium": 1}
    assert description["licence"] == "CC-BY-SA 4.0"
    verify_dataset_integrity(str(raw / "Dataset002_Heart"), 1)


def test_4d_images_become_one_file_per_channel(raw, tmp_path):
    source = write_task(tmp_path / "Task01_Brain", channels=2, with_test=False)
    original = write_4d(source / "imagesTr" / "heart_1.nii.gz", 2)
    convert_msd_dataset(str(source) + "/", overwrite_target_id=77, num_processes=1)
    target = raw / "Dataset077_Brain"
    for channel in range(2):
        assert (read(target / "imagesTr" / f"heart_1_{channel:04d}.nii.gz") == original[channel]).all()
    assert not (target / "imagesTs").exists()
    verify_dataset_integrity(str(target), 1)


@pytest.mark.parametrize("name", ["Task01", "Task01_Two_Parts", "Dataset001_X", "Brain"])
def test_another_folder_name_is_refused(name):
    with pytest.raises(UsageError, match="Task04_Hippocampus"):
        parse_task_name(f"/data/{name}")


@pytest.mark.parametrize("root", ["nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"])
def test_a_number_that_is_taken_is_refused(root, folders, tmp_path):
    (folders[root] / "Dataset002_Else").mkdir()
    with pytest.raises(DatasetError, match="number 2 belongs to Dataset002_Else"):
        convert_msd_dataset(write_task(tmp_path / "Task02_Heart"), num_processes=1)


def broken(source: Path, what: str) -> None:
    if what == "no labels folder":
        for path in (source / "labelsTr").iterdir():
            path.unlink()
        (source / "labelsTr").rmdir()
    elif what == "label missing":
        (source / "labelsTr" / "heart_2.nii.gz").unlink()
    elif what == "empty":
        for path in [*(source / "imagesTr").iterdir(), *(source / "labelsTr").iterdir()]:
            path.unlink()
    elif what == "no description":
        (source / "dataset.json").unlink()
    elif what == "labels":
        text = (source / "dataset.json").read_text()
        (source / "dataset.json").write_text(text.replace("left atrium", "background"))
    elif what == "channels":
        text = (source / "dataset.json").read_text()
        (source / "dataset.json").write_text(text.replace('"0": "MRI0"', '"0": "MRI0", "1": "MRI1"'))
    elif what == "truncated":
        path = source / "imagesTr" / "heart_1.nii.gz"
        path.write_bytes(path.read_bytes()[:-60])


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("no labels folder", MissingFileError, "labelsTr does not exist"),
        ("label missing", DatasetError, "heart_2"),
        ("empty", DatasetError, "has no .nii.gz files"),
        ("no description", MissingFileError, "dataset.json does not exist"),
        ("labels", LabelsError, "both called 'background'"),
        ("channels", DatasetError, r"imagesTr/heart_1: .*has 1 channel\(s\); .* names 2"),
        ("truncated", DatasetError, "imagesTr/heart_1: .*truncated"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing_behind(what, error, message, raw, tmp_path):
    source = write_task(tmp_path / "Task02_Heart")
    broken(source, what)
    with pytest.raises(error, match=message):
        convert_msd_dataset(source, num_processes=1)
    assert not list(raw.iterdir())


def test_the_command_converts_and_reports_errors_with_status_1(raw, tmp_path, capsys):
    arguments = ["-i", str(write_task(tmp_path / "Task02_Heart")), "-np", "1"]
    convert_msd_entry_point([*arguments, "-overwrite_id", "300"])
    assert (raw / "Dataset300_Heart" / "dataset.json").exists()
    with pytest.raises(SystemExit) as end:
        convert_msd_entry_point([*arguments, "-overwrite_id", "300"])
    assert end.value.code == 1
    assert "number 300 belongs to Dataset300_Heart" in capsys.readouterr().err
