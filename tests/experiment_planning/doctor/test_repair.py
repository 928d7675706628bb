"""What is safe is repaired in a copy; the data set itself stays as it is, byte for byte."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.experiment_planning.doctor.commands import doctor_entry_point
from nnunetv2.experiment_planning.doctor.repair import repaired_values
from nnunetv2.records.dataset_json import DatasetJson
from tests.experiment_planning.doctor.broken_datasets import (
    CASES,
    as_mask,
    change,
    copy,
    copy_of,
    describe,
    each_label,
    image,
    label,
    listed,
    one_voxel,
    rename_key,
    replace_text,
    write_sound_dataset,
)


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_sound_dataset(tmp_path)


def fix(folder: Path, capsys, *more: str) -> tuple[int, Path, str]:
    """Exit status, the new folder and the output."""
    before = content_of(folder)
    output, status = folder.parent / "fixed" / folder.name, 0
    try:
        doctor_entry_point([str(folder), "--fix", str(output), "-np", "1", *more])
    except SystemExit as end:
        status = int(end.code)
    captured = capsys.readouterr()
    assert content_of(folder) == before
    return status, output, captured.out + captured.err


def content_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def labels_in(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_a_sound_data_set_is_copied_as_it_is(dataset, capsys):
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "with 0 repairs" in text
    assert json.loads((output / "dataset.json").read_text()) == json.loads((dataset / "dataset.json").read_text())
    before, after = content_of(dataset), content_of(output)
    before.pop("dataset.json"), after.pop("dataset.json")
    assert after == before


def test_masks_of_255_get_the_only_label(dataset, capsys):
    as_mask(dataset)
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "sound_000.nii.gz: 255 is 1" in text
    for case in range(CASES):
        np.testing.assert_array_equal(labels_in(label(output, case)), labels_in(label(dataset, case)) // 255)


def test_rounding_errors_of_labels_are_rounded(dataset, capsys):
    expected = labels_in(label(dataset, 1))
    change(label(dataset, 1), lambda a: a * np.float32(0.9999))
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "sound_001.nii.gz: rounded to integers" in text
    assert labels_in(label(output, 1)).dtype == np.uint8
    np.testing.assert_array_equal(labels_in(label(output, 1)), expected)


@pytest.mark.parametrize("geometry", [{"Spacing": (1.25, 1.0, 2.501)}, {"Origin": (-3.0, 5.5, 10.01)}])
def test_a_rounded_geometry_becomes_that_of_the_image(dataset, capsys, geometry):
    change(label(dataset, 1), **geometry)
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "sound_001.nii.gz: geometry taken from the image" in text
    repaired, wanted = sitk.ReadImage(str(label(output, 1))), sitk.ReadImage(str(image(dataset, 1)))
    for name in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(repaired, name)() == getattr(wanted, name)()
    np.testing.assert_array_equal(labels_in(label(output, 1)), labels_in(label(dataset, 1)))


def test_a_real_difference_of_geometry_is_left_and_reported(dataset, capsys):
    change(label(dataset, 1), Spacing=(1.25, 1.0, 3.0))
    status, output, text = fix(dataset, capsys)
    assert status == 1
    assert "with 0 repairs" in text
    assert "spacing = [3.0, 1.0, 1.25]" in text
    assert label(output, 1).read_bytes() == label(dataset, 1).read_bytes()


def test_missing_channel_numbers_are_added(dataset, capsys):
    describe(dataset, channel_names={"0": "CT"})
    for case in range(CASES):
        image(dataset, case, 0).rename(dataset / "imagesTr" / f"sound_{case:03d}.nii.gz")
        image(dataset, case, 1).unlink()
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "sound_000.nii.gz is called sound_000_0000.nii.gz" in text
    assert sorted(path.name for path in (output / "imagesTr").iterdir()) == [
        f"sound_{case:03d}_0000.nii.gz" for case in range(CASES)
    ]


def test_a_file_that_would_replace_channel_0_is_left_out_and_named(dataset, capsys):
    copy(image(dataset, 0, 1), dataset / "imagesTr" / "sound_000.nii.gz")
    (dataset / "labelsTr" / "notes.txt").touch()
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "not copied: imagesTr/sound_000.nii.gz" in text
    assert "not copied: labelsTr/notes.txt" in text
    assert image(output, 0, 0).read_bytes() == image(dataset, 0, 0).read_bytes()


def test_misspelt_keys_and_the_number_of_cases_are_corrected(dataset, capsys):
    rename_key(dataset, "labels", "lables")
    rename_key(dataset, "channel_names", "modality")
    describe(dataset, numTraining=9, licence="CC0")
    status, output, text = fix(dataset, capsys)
    assert status == 0
    assert "lables is called labels" in text
    content = json.loads((output / "dataset.json").read_text())
    assert content == {
        "channel_names": {"0": "CT", "1": "MR"},
        "labels": {"background": 0, "shell": 1, "core": 2},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
        "licence": "CC0",
    }


def test_labels_become_consecutive_only_when_asked(dataset, capsys):
    describe(dataset, labels={"background": 0, "shell": 205, "core": 420, "ignore": 7})
    each_label(dataset, lambda a: np.array([0, 205, 420], dtype=np.uint16)[a])
    change(label(dataset, 0), lambda a: np.where(a == 420, 7, a))
    status, output, _ = fix(dataset, capsys)
    assert status == 0
    assert set(np.unique(labels_in(label(output, 1)))) == {0, 205, 420}
    output.rename(output.parent / "kept")
    status, output, text = fix(dataset, capsys, "--renumber")
    assert status == 0
    assert "labels 0, 205, 420, 7 are 0 to 3" in text
    assert DatasetJson.load(output / "dataset.json").labels == {"background": 0, "shell": 1, "core": 2, "ignore": 3}
    assert set(np.unique(labels_in(label(output, 0)))) == {0, 1, 3}
    assert set(np.unique(labels_in(label(output, 1)))) == {0, 1, 2}


def test_damaged_files_are_copied_and_reported(dataset, capsys):
    replace_text(label(dataset, 1), "not an image")
    replace_text(image(dataset, 2), "not an image")
    status, output, text = fix(dataset, capsys)
    assert status == 1
    assert text.count("make the file again") == 2
    assert label(output, 1).read_text() == "not an image"


def test_unknown_values_are_not_guessed():
    seg = np.array([0.0, 255.0, 1.0])
    assert repaired_values(seg, [0, 1])[1] == ""
    assert repaired_values(np.array([0.0, 255.0]), [0, 1, 2])[1] == ""
    assert repaired_values(np.array([0.0, 255.0]), [0, 255])[1] == ""
    assert repaired_values(np.array([0.0, 0.5]), [0, 1])[1] == ""
    assert repaired_values(np.array([0.0, np.nan, 0.9999]), [0, 1])[1] == ""
    assert repaired_values(np.array([0.0, 2.9999]), [0, 1])[1] == ""


def test_the_copy_needs_a_folder_of_its_own(dataset, capsys):
    for output, message in ((dataset / "fixed", "lies inside"), (dataset.parent, "exists already")):
        with pytest.raises(SystemExit) as end:
            doctor_entry_point([str(dataset), "--fix", str(output), "-np", "1"])
        assert end.value.code == 1
        assert message in capsys.readouterr().err
    status, _, text = fix_of_listed(dataset, capsys)
    assert status == 1
    assert "no file lists in the entry dataset" in text


def fix_of_listed(dataset: Path, capsys) -> tuple[int, Path, str]:
    listed(dataset, lambda cases: None)
    return fix(dataset, capsys)


def test_dataset_json_is_written_from_the_files_when_there_is_none(dataset, capsys):
    (dataset / "dataset.json").unlink()
    status, output, _ = fix(dataset, capsys)
    assert status == 0
    assert not (dataset / "dataset.json").exists()
    expected = {
        "channel_names": {"0": "channel_0", "1": "channel_1"},
        "labels": {"background": 0, "label_1": 1, "label_2": 2},
        "numTraining": CASES,
        "file_ending": ".nii.gz",
    }
    assert json.loads((output / "dataset.json").read_text()) == expected
    doctor_entry_point([str(dataset), "-np", "1"])
    assert "it was written from the files: 2 channel(s) and the labels 0, 1, 2" in capsys.readouterr().out
    assert json.loads((dataset / "dataset.json").read_text()) == expected


def test_options_that_make_no_sense_are_refused(dataset, capsys):
    for options, message in ((["--renumber"], "needs --fix"), (["--sample", "0"], "1 or more")):
        with pytest.raises(SystemExit):
            doctor_entry_point([str(dataset), *options])
        assert message in capsys.readouterr().err


def test_hard_links_are_not_written_through(dataset, tmp_path, capsys):
    linked = copy_of(dataset, tmp_path / "linked")
    change(label(linked, 1), one_voxel(2))
    _, output, _ = fix(linked, capsys)
    assert not os.path.samefile(label(output, 0), label(linked, 0))
