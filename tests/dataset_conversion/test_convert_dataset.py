"""Every recipe on a tiny copy of the layout in which the data set is published, and the engine's errors."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from nnunetv2.dataset_conversion.commands import convert_dataset_entry_point
from nnunetv2.dataset_conversion.convert_dataset import convert_dataset
from nnunetv2.dataset_conversion.Dataset137_BraTS21 import copy_BraTS_segmentation_and_convert_labels_to_nnUNet
from nnunetv2.dataset_conversion.recipes import MMWHS_CT, RECIPES, recipe_named
from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from tests.dataset_conversion.images import read, tree, write_image, write_labels

HEART_VALUES = (0, 205, 420, 500, 550, 600, 820, 850)


def acdc(folder: Path) -> None:
    for part, patients in (("training", range(1, 7)), ("testing", (101,))):
        for patient in patients:
            name = f"patient{patient:03d}"
            write_image(folder / "database" / part / name / f"{name}_4d.nii.gz")
            for frame in (1, 12):
                write_image(folder / "database" / part / name / f"{name}_frame{frame:02d}.nii.gz")
                write_labels(folder / "database" / part / name / f"{name}_frame{frame:02d}_gt.nii.gz", range(4))
            (folder / "database" / part / name / "Info.cfg").write_text("ED: 1")


def amos(folder: Path) -> None:
    for part, number in (("Tr", 1), ("Tr", 507), ("Va", 8), ("Va", 590)):
        write_image(folder / "amos22" / f"images{part}" / f"amos_{number:04d}.nii.gz")
        write_labels(folder / "amos22" / f"labels{part}" / f"amos_{number:04d}.nii.gz", range(16))
    write_image(folder / "amos22" / "imagesTs" / "amos_0500.nii.gz")


def kits(folder: Path) -> None:
    for number in range(2):
        write_image(folder / "dataset" / f"case_{number:05d}" / "imaging.nii.gz")
        write_labels(folder / "dataset" / f"case_{number:05d}" / "segmentation.nii.gz", range(4))
        write_labels(folder / "dataset" / f"case_{number:05d}" / "instances" / "kidney_instance-1.nii.gz")
    write_image(folder / "dataset" / "case_00400" / "imaging.nii.gz")


def brats(folder: Path) -> None:
    for number in range(3):
        name = f"BraTS2021_{number:05d}"
        for seed, channel in enumerate(("flair", "t1", "t1ce", "t2")):
            write_image(folder / name / f"{name}_{channel}.nii.gz", seed)
        if number < 2:
            write_labels(folder / name / f"{name}_seg.nii.gz", (0, 1, 2, 4))


def mmwhs(folder: Path) -> None:
    for modality in ("ct", "mr"):
        for number in (1001, 1002):
            stem = f"{modality}_train_{number}"
            write_image(folder / f"{modality}_train" / f"{stem}_image.nii.gz")
            write_labels(folder / f"{modality}_train" / f"{stem}_label.nii.gz", HEART_VALUES)
        write_image(folder / f"{modality}_test" / f"{modality}_test_2001_image.nii.gz")


# recipe: (writes the source, training cases, test cases with label, test cases without)
SOURCES = {
    "ACDC": (
        acdc,
        {f"patient{patient:03d}_frame{frame:02d}" for patient in range(1, 7) for frame in (1, 12)},
        {"patient101_frame01", "patient101_frame12"},
        set(),
    ),
    "AMOS22": (amos, {"amos_0001", "amos_0507"}, {"amos_0008", "amos_0590"}, {"amos_0500"}),
    "AMOS22_CT": (amos, {"amos_0001"}, {"amos_0008"}, {"amos_0500"}),
    "KiTS23": (kits, {"case_00000", "case_00001"}, set(), {"case_00400"}),
    "BraTS21": (brats, {"BraTS2021_00000", "BraTS2021_00001"}, set(), {"BraTS2021_00002"}),
    "MMWHS_CT": (mmwhs, {"ct_train_1001", "ct_train_1002"}, set(), {"ct_test_2001"}),
    "MMWHS_MR": (mmwhs, {"mr_train_1001", "mr_train_1002"}, set(), {"mr_test_2001"}),
}


@pytest.fixture
def raw(folders) -> Path:
    return folders["nnUNet_raw"]


def test_every_recipe_has_a_test():
    assert set(SOURCES) == set(RECIPES)


@pytest.mark.parametrize("name", SOURCES)
def test_a_public_data_set_becomes_a_sound_raw_data_set(name, raw, tmp_path):
    write, training, labelled_test, unlabelled_test = SOURCES[name]
    recipe = RECIPES[name]
    write(tmp_path / "source")
    target = Path(convert_dataset(name, tmp_path / "source", num_processes=1))
    assert target == raw / f"Dataset{recipe.dataset_id:03d}_{name}"
    channels = range(len(recipe.channels))
    expected = {f"imagesTr/{case}_{channel:04d}.nii.gz" for case in training for channel in channels}
    expected |= {f"imagesTs/{c}_{channel:04d}.nii.gz" for c in labelled_test | unlabelled_test for channel in channels}
    expected |= {f"labelsTr/{case}.nii.gz" for case in training}
    expected |= {f"labelsTs/{case}.nii.gz" for case in labelled_test}
    assert tree(target) - {"splits_final.json"} == expected | {"dataset.json"}
    description = DatasetJson.load(target / "dataset.json")
    assert tuple(description.channel_names.values()) == recipe.channels
    assert description.num_training == len(training)
    found = set(read(target / "labelsTr" / f"{min(training)}.nii.gz").ravel().tolist())
    assert found == set(LabelManager(description.labels, description.regions_class_order).all_labels)
    verify_dataset_integrity(str(target), 1)


def test_brats_channels_and_labels_get_their_places(raw, tmp_path):
    brats(tmp_path / "source")
    target = Path(convert_dataset("BraTS21", tmp_path / "source", num_processes=1))
    case = tmp_path / "source" / "BraTS2021_00000" / "BraTS2021_00000"
    for channel, kind in enumerate(("t1", "t1ce", "t2", "flair")):
        copied = target / "imagesTr" / f"BraTS2021_00000_{channel:04d}.nii.gz"
        assert copied.read_bytes() == Path(f"{case}_{kind}.nii.gz").read_bytes()
    old, new = read(Path(f"{case}_seg.nii.gz")), read(target / "labelsTr" / "BraTS2021_00000.nii.gz")
    assert {(int(a), int(b)) for a, b in zip(old.ravel(), new.ravel())} == {(0, 0), (2, 1), (1, 2), (4, 3)}


def test_the_established_function_converts_a_brats_label_map(tmp_path):
    old = write_labels(tmp_path / "in.nii.gz", (0, 1, 2, 4))
    copy_BraTS_segmentation_and_convert_labels_to_nnUNet(str(tmp_path / "in.nii.gz"), str(tmp_path / "out.nii.gz"))
    new = read(tmp_path / "out.nii.gz")
    assert (new == 1).sum() == (old == 2).sum()
    write_labels(tmp_path / "in.nii.gz", (0, 1, 3))
    with pytest.raises(RuntimeError, match=r"in.nii.gz has label value\(s\) 3"):
        copy_BraTS_segmentation_and_convert_labels_to_nnUNet(tmp_path / "in.nii.gz", tmp_path / "other.nii.gz")
    assert not (tmp_path / "other.nii.gz").exists()


def test_heart_labels_are_numbered_in_order_and_the_odd_value_counts_as_left_atrium(raw, tmp_path):
    mmwhs(tmp_path / "source")
    old = write_labels(tmp_path / "source" / "ct_train" / "ct_train_1001_label.nii.gz", (*HEART_VALUES, 421))
    target = Path(convert_dataset("mmwhs_ct", tmp_path / "source", 500, num_processes=1))
    assert target.name == "Dataset500_MMWHS_CT"
    new = read(target / "labelsTr" / "ct_train_1001.nii.gz")
    expected = dict(zip(HEART_VALUES, range(8))) | {421: 2}
    assert {(int(a), int(b)) for a, b in zip(old.ravel(), new.ravel())} == set(expected.items())


def test_both_frames_of_a_patient_stay_in_one_fold(raw, tmp_path):
    acdc(tmp_path / "source")
    target = Path(convert_dataset("ACDC", tmp_path / "source", num_processes=1))
    splits = json.loads((target / "splits_final.json").read_text())
    assert len(splits) == 5
    for split in splits:
        patients = {part: {case.split("_")[0] for case in split[part]} for part in ("train", "val")}
        assert not patients["train"] & patients["val"]
        assert len(split["train"]) + len(split["val"]) == 12
    assert len({case for split in splits for case in split["val"]}) == 12


def test_too_few_patients_for_five_folds_give_no_splits(raw, tmp_path):
    acdc(tmp_path / "source")
    for patient in (4, 5, 6):
        for path in (tmp_path / "source" / "database" / "training" / f"patient{patient:03d}").iterdir():
            path.unlink()
    assert not (Path(convert_dataset("ACDC", tmp_path / "source", num_processes=1)) / "splits_final.json").exists()


def test_a_recipe_of_ones_own_is_used_in_the_same_way(raw, tmp_path):
    mine = dataclasses.replace(
        MMWHS_CT, name="Mine", dataset_id=600, only=None, exchange=None,
        case=r"(?P<case>scan_\d+)/image\.nii\.gz", label="{above}{case}/truth.nii.gz",
        labels={"background": 0, "heart": 1},
    )  # fmt: skip
    write_image(tmp_path / "a" / "scan_1" / "image.nii.gz")
    labels = write_labels(tmp_path / "a" / "scan_1" / "truth.nii.gz")
    target = Path(convert_dataset(mine, tmp_path / "a", num_processes=1))
    assert target.name == "Dataset600_Mine"
    assert (read(target / "labelsTr" / "scan_1.nii.gz") == labels).all()


def damage(source: Path, what: str) -> None:
    case = source / "BraTS2021_00000" / "BraTS2021_00000"
    if what == "missing channel":
        Path(f"{case}_flair.nii.gz").unlink()
    elif what == "label without image":
        Path(f"{case}_t1.nii.gz").unlink()
    elif what == "unknown label":
        write_labels(Path(f"{case}_seg.nii.gz"), (0, 3))
    elif what == "truncated image":
        path = Path(f"{case}_t2.nii.gz")
        path.write_bytes(path.read_bytes()[:-60])
    elif what == "truncated label":
        path = Path(f"{case}_seg.nii.gz")
        path.write_bytes(path.read_bytes()[:-20])
    elif what == "twice":
        write_image(source / "copy" / "BraTS2021_00000" / "BraTS2021_00000_t1.nii.gz")
    elif what == "no labels":
        for path in source.rglob("*_seg.nii.gz"):
            path.unlink()
    elif what == "nothing":
        for path in source.rglob("*.nii.gz"):
            path.unlink()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing channel", "BraTS2021_00000: BraTS2021_00000/BraTS2021_00000_flair.nii.gz is missing"),
        ("label without image", "BraTS2021_00000/BraTS2021_00000_seg.nii.gz has no image"),
        ("unknown label", r"BraTS2021_00000: .*_seg.nii.gz has label value\(s\) 3; known are 0, 1, 2, 4"),
        ("truncated image", "BraTS2021_00000: .*_t2.nii.gz is truncated"),
        ("truncated label", "BraTS2021_00000: .*_seg.nii.gz is truncated"),
        ("twice", "BraTS2021_00000 occurs twice"),
        ("no labels", "3 images of BraTS21, but no label"),
        ("nothing", "has no images of BraTS21"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing_behind(what, message, raw, tmp_path):
    brats(tmp_path / "source")
    damage(tmp_path / "source", what)
    with pytest.raises(DatasetError, match=message):
        convert_dataset("BraTS21", tmp_path / "source", num_processes=1)
    assert not list(raw.iterdir())


def test_numbers_and_names_are_checked_first(raw, tmp_path):
    (raw / "Dataset137_Mine").mkdir()
    brats(tmp_path / "source")
    with pytest.raises(DatasetError, match="number 137 belongs to Dataset137_Mine"):
        convert_dataset("BraTS21", tmp_path / "source")
    with pytest.raises(UsageError, match="0 is no data set number"):
        convert_dataset("BraTS21", tmp_path / "source", 0)
    with pytest.raises(UsageError, match="no recipe 'Brats18'; known are ACDC"):
        recipe_named("Brats18")
    with pytest.raises(MissingFileError, match="nowhere is no folder"):
        convert_dataset("BraTS21", tmp_path / "nowhere", 138)


def test_the_command_converts_and_reports_errors_with_status_1(raw, tmp_path, capsys):
    kits(tmp_path / "source")
    convert_dataset_entry_point(["KiTS23", "-i", str(tmp_path / "source"), "-o", "20", "-np", "1"])
    assert (raw / "Dataset020_KiTS23" / "labelsTr" / "case_00001.nii.gz").exists()
    with pytest.raises(SystemExit) as end:
        convert_dataset_entry_point(["ACDC", "-i", str(tmp_path / "source")])
    assert end.value.code == 1
    assert "has no images of ACDC" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        convert_dataset_entry_point(["Unknown", "-i", "x"])
    assert end.value.code == 2
