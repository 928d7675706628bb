"""A sound data set passes; every fault is reported, all in one go, by file or case."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import DatasetError, IntegrityError
from nnunetv2.experiment_planning import verify_dataset_integrity as module
from nnunetv2.experiment_planning.integrity_of_cases import count_values
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity
from nnunetv2.records.findings import DatasetFinding
from tests.conftest import write_tiny_dataset
from tests.shared_data import DATA, needs_shared


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Three cases with two channels, labels 0 to 2, (Z, Y, X) of 6 x 9 x 7."""
    return write_tiny_dataset(tmp_path, cases=3, shape=(6, 9, 7))


def problems_of(folder: Path) -> list[str]:
    with pytest.raises(IntegrityError) as caught:
        verify_dataset_integrity(str(folder), num_processes=1)
    return list(caught.value.problems)


def the_problem_of(folder: Path) -> str:
    problems = problems_of(folder)
    assert len(problems) == 1, problems
    return problems[0]


def edit_json(folder: Path, **changes) -> None:
    path = folder / "dataset.json"
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "remove"}))


def change_image(path: Path, change=None, **geometry) -> None:
    """Rewrite an image file with changed voxels, or with another Spacing, Origin or Direction (ITK order)."""
    image = sitk.ReadImage(str(path))
    array = sitk.GetArrayFromImage(image)
    changed = sitk.GetImageFromArray(array if change is None else change(array))
    changed.SetSpacing(geometry.get("Spacing", image.GetSpacing()))
    changed.SetOrigin(geometry.get("Origin", image.GetOrigin()))
    changed.SetDirection(geometry.get("Direction", image.GetDirection()))
    sitk.WriteImage(changed, str(path))


def set_voxel(value):
    def change(array):
        array = array.copy()
        array[1, 2, 3] = value
        return array

    return change


def image(folder: Path, case: int, channel: int = 0) -> Path:
    return folder / "imagesTr" / f"tiny_{case:03d}_{channel:04d}.nii.gz"


def label(folder: Path, case: int) -> Path:
    return folder / "labelsTr" / f"tiny_{case:03d}.nii.gz"


# Sound data sets


def test_a_sound_data_set_passes_and_says_so(dataset, caplog):
    caplog.set_level(logging.INFO)
    assert verify_dataset_integrity(str(dataset)) is None
    assert [record.getMessage() for record in caplog.records] == [
        "Dataset997_Tiny: 3 cases with 2 channel(s) checked, no problems found"
    ]


def test_worker_processes_find_the_same(dataset, monkeypatch):
    change_image(label(dataset, 1), set_voxel(9))
    alone = problems_of(dataset)
    monkeypatch.setattr(module, "_BYTES_WORTH_A_POOL", 0)
    with pytest.raises(IntegrityError) as caught:
        verify_dataset_integrity(dataset, 2)
    assert list(caught.value.problems) == alone


def test_explicit_file_lists_replace_the_folders(dataset):
    cases = {
        f"c{i}": {"images": [f"elsewhere/{i}_{kind}.nii.gz" for kind in ("ct", "mr")], "label": f"elsewhere/{i}.nii.gz"}
        for i in range(3)
    }
    (dataset / "elsewhere").mkdir()
    for i in range(3):
        image(dataset, i, 0).rename(dataset / "elsewhere" / f"{i}_ct.nii.gz")
        image(dataset, i, 1).rename(dataset / "elsewhere" / f"{i}_mr.nii.gz")
        label(dataset, i).rename(dataset / "elsewhere" / f"{i}.nii.gz")
    edit_json(dataset, dataset=cases)
    verify_dataset_integrity(dataset)
    (dataset / "elsewhere" / "1_mr.nii.gz").unlink()
    (dataset / "elsewhere" / "2.nii.gz").unlink()
    first, second = problems_of(dataset)
    assert first.startswith("c1: ")
    assert "1_mr.nii.gz does not exist" in first
    assert second.startswith("c2: ")
    assert "2.nii.gz does not exist" in second


def test_the_ignore_label_and_regions_are_known_labels(dataset):
    change_image(label(dataset, 0), set_voxel(3))
    edit_json(dataset, labels={"background": 0, "all": [1, 2], "core": 2, "ignore": 3}, regions_class_order=[1, 2])
    verify_dataset_integrity(dataset)


def test_label_values_may_be_written_as_text(dataset):
    edit_json(dataset, labels={"background": "0", "shell": "1", "core": "2"})
    verify_dataset_integrity(dataset)


def test_several_channels_may_come_from_one_file(tmp_path):
    folder = tmp_path / "Dataset001_Rgb"
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True)
    from PIL import Image

    for case in "ab":
        Image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(folder / "imagesTr" / f"{case}_0000.png")
        Image.fromarray(np.eye(8, 6, dtype=np.uint8)).save(folder / "labelsTr" / f"{case}.png")
    (folder / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {"0": "R", "1": "G", "2": "B"},
                "labels": {"background": 0, "line": 1},
                "numTraining": 2,
                "file_ending": ".png",
            }
        )
    )
    verify_dataset_integrity(folder)
    Image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(folder / "labelsTr" / "a.png")
    assert "labelsTr/a.png has 3 channels" in the_problem_of(folder)


# dataset.json


def test_an_empty_folder_lists_everything_that_is_missing(tmp_path):
    problems = problems_of(tmp_path)
    assert len(problems) == 3
    for problem, name in zip(problems, ("dataset.json", "imagesTr", "labelsTr")):
        assert f"{name} does not exist" in problem


def test_empty_image_and_label_folders_do_not_fit_the_number_of_cases(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    content = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "a": 1}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content | {"numTraining": 4}))
    assert "numTraining = 4: 0 training cases were found. Correct" in the_problem_of(tmp_path)


def test_a_broken_dataset_json_is_named(dataset):
    (dataset / "dataset.json").write_text('{"labels": ')
    assert "dataset.json is not valid JSON" in the_problem_of(dataset)


@pytest.mark.parametrize("key", ["channel_names", "labels", "numTraining", "file_ending"])
def test_every_needed_key_is_asked_for(dataset, key):
    edit_json(dataset, **{key: "remove"})
    assert f"{key} missing" in the_problem_of(dataset)


def test_modality_is_no_substitute_for_channel_names(dataset):
    edit_json(dataset, channel_names="remove", modality={"0": "CT", "1": "MRI"})
    assert "modality is an old name" in the_problem_of(dataset)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numTraining": 7}, "numTraining = 7: 3 training cases"),
        ({"labels": {"shell": 1}}, 'no "background"'),
        ({"labels": {"background": 0, "shell": 1, "core": 70000}}, "labels.core has the value 70000"),
        ({"labels": {"background": 0, "both": [1, 2], "core": 2}}, "regions_class_order"),
        ({"labels": [0, 1]}, "labels = [0, 1]"),
        ({"channel_names": ["CT", "MRI"]}, 'channel_names = ["CT", "MRI"]'),
        ({"file_ending": "nii.gz"}, "leading dot"),
        ({"file_ending": ".jpg", "numTraining": 0}, "JPEG"),
        ({"file_ending": ".xyz", "numTraining": 0}, None),
        ({"dataset": {"a": 5}}, "dataset"),
    ],
    ids=str,
)
def test_entries_that_make_no_sense_are_named(dataset, changes, message):
    edit_json(dataset, **changes)
    if message is None:  # nothing has that ending, so nothing is left to check
        verify_dataset_integrity(dataset)
        return
    assert any(message in problem and "dataset.json" in problem for problem in problems_of(dataset))


def test_channel_names_out_of_order_are_a_warning(dataset, caplog):
    edit_json(dataset, channel_names={"1": "MRI", "0": "CT"})
    verify_dataset_integrity(dataset)
    assert "has the keys 1, 0 instead of 0, 1" in caplog.text


def test_an_ending_without_reader_is_reported(dataset):
    edit_json(dataset, file_ending=".gz")
    for path in (*dataset.glob("imagesTr/*"), *dataset.glob("labelsTr/*")):
        path.rename(path.with_name(path.name.replace(".nii", "")))
    assert "no reader knows the file_ending '.gz'" in the_problem_of(dataset)


# Files


def test_a_missing_channel_is_named_with_its_case(dataset):
    image(dataset, 1, 1).unlink()
    problem = the_problem_of(dataset)
    assert problem.startswith("tiny_001: ")
    assert "channel_names has 2 entries; missing: _0001" in problem


def test_a_gap_in_the_channel_numbers_is_named(dataset):
    image(dataset, 1, 1).rename(image(dataset, 1, 2))
    assert "tiny_001_0002.nii.gz: channel number = _0002: _0001 is not there" in the_problem_of(dataset)


def test_a_channel_too_many_is_named(dataset):
    (dataset / "imagesTr" / "tiny_001_0002.nii.gz").write_bytes(image(dataset, 1, 1).read_bytes())
    assert "not expected: _0002" in the_problem_of(dataset)


def test_a_label_without_image_is_named(dataset):
    (dataset / "labelsTr" / "tiny_777.nii.gz").write_bytes(label(dataset, 0).read_bytes())
    problem = the_problem_of(dataset)
    assert problem.startswith("tiny_777: ")
    assert "has no image" in problem


def test_an_image_without_label_is_named(dataset):
    label(dataset, 2).unlink()
    problem = the_problem_of(dataset)
    assert problem.startswith("tiny_002: ")
    assert "labelsTr/tiny_002.nii.gz does not exist" in problem


def test_a_file_without_channel_number_is_named_with_the_name_it_needs(dataset):
    (dataset / "imagesTr" / "stray.nii.gz").write_bytes(image(dataset, 0).read_bytes())
    problem = the_problem_of(dataset)
    assert "imagesTr/stray.nii.gz: channel number missing" in problem
    assert "stray_0000.nii.gz" in problem


def test_a_case_name_ending_in_seg_is_refused(dataset):
    for channel in range(2):
        image(dataset, 0, channel).rename(dataset / "imagesTr" / f"tiny_seg_{channel:04d}.nii.gz")
    label(dataset, 0).rename(dataset / "labelsTr" / "tiny_seg.nii.gz")
    assert "case name = tiny_seg: a case name must not end with _seg" in the_problem_of(dataset)


def test_files_with_another_ending_are_a_warning(dataset, caplog):
    (dataset / "imagesTr" / "tiny_000_0000.nrrd").touch()
    (dataset / "imagesTr" / ".DS_Store").touch()
    verify_dataset_integrity(dataset)
    assert "1 file(s) do not end with .nii.gz" in caplog.text


# Voxels


def test_unknown_label_values_are_counted(dataset):
    change_image(label(dataset, 1), lambda a: np.where(a == 2, 7, a).astype(np.uint8))
    count = int((sitk.GetArrayFromImage(sitk.ReadImage(str(label(dataset, 1)))) == 7).sum())
    problem = the_problem_of(dataset)
    assert f"labelsTr/tiny_001.nii.gz: label values = 7 ({count:,} voxels)" in problem
    assert "not in dataset.json, which knows 0, 1, 2" in problem


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (-1.0, "-1")])
def test_fractions_and_negative_values_are_no_labels(dataset, value, shown):
    change_image(label(dataset, 1), lambda a: set_voxel(value)(a.astype(np.float32)))
    assert f"label values = {shown} (1 voxels)" in the_problem_of(dataset)


def test_nan_in_a_label_map_is_reported(dataset):
    change_image(label(dataset, 1), lambda a: set_voxel(np.nan)(a.astype(np.float32)))
    assert "labelsTr/tiny_001.nii.gz: voxels = 1 x NaN: 1 voxels are NaN" in the_problem_of(dataset)


@pytest.mark.parametrize("reader", ["SimpleITKIO", "NibabelIO"])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_intensities_that_are_no_numbers_are_reported_with_the_channel_file(dataset, value, word, reader):
    edit_json(dataset, overwrite_image_reader_writer=reader)
    change_image(image(dataset, 2, 1), set_voxel(value))
    assert f"tiny_002_0001.nii.gz: voxels = 1 x {word}" in the_problem_of(dataset)


def test_nan_is_found_in_other_formats_too(dataset):
    edit_json(dataset, file_ending=".mha")
    for path in (*dataset.glob("imagesTr/*"), *dataset.glob("labelsTr/*")):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path).replace(".nii.gz", ".mha"))
        path.unlink()
    verify_dataset_integrity(dataset)
    change_image(dataset / "imagesTr" / "tiny_001_0001.mha", set_voxel(np.nan))
    change_image(dataset / "labelsTr" / "tiny_002.mha", lambda a: set_voxel(np.nan)(a.astype(np.float32)))
    first, second = problems_of(dataset)
    assert "tiny_001_0001.mha: voxels = 1 x NaN" in first
    assert "tiny_002.mha: voxels = 1 x NaN" in second


def test_a_label_map_without_foreground_is_a_warning(dataset, caplog):
    change_image(label(dataset, 0), np.zeros_like)
    verify_dataset_integrity(dataset)
    assert "tiny_000.nii.gz: label values = 0: the label map is all background" in caplog.text


def test_channels_of_different_shape_are_reported(dataset):
    change_image(image(dataset, 1, 1), lambda a: a[:, :-1])
    problem = the_problem_of(dataset)
    assert "differ in shape" in problem
    assert "[6, 8, 7]" in problem


def test_channels_of_different_spacing_are_reported(dataset):
    change_image(image(dataset, 1, 1), Spacing=(1.25, 1.0, 3.5))
    assert "differ in spacing" in the_problem_of(dataset)


def test_a_label_map_of_another_shape_is_reported(dataset):
    change_image(label(dataset, 1), lambda a: a[:-1])
    assert (
        "shape = [5, 9, 7]: the images and label map differ in shape (Z, Y, X); the image has [6, 9, 7]"
        in the_problem_of(dataset)
    )


def test_a_label_map_of_another_spacing_is_reported(dataset):
    change_image(label(dataset, 1), Spacing=(1.25, 1.0, 3.0))
    assert "spacing = [3.0, 1.0, 1.25]: the images and label map differ in spacing" in the_problem_of(dataset)


def test_another_origin_or_direction_of_label_maps_is_one_warning_for_all(dataset, caplog):
    for case in range(3):
        change_image(label(dataset, case), Origin=(0.0, 0.0, 0.0), Direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    verify_dataset_integrity(dataset)
    (record,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert "(3):" in record.getMessage()
    assert all(f"tiny_{case:03d}.nii.gz: position = origin" in record.getMessage() for case in range(3))


def test_long_lists_of_warnings_are_cut(caplog):
    findings = [
        DatasetFinding(
            severity="warning", kind="sloppy headers", file=f"case {i}", key="a", value="b", reason="c", remedy="d"
        )
        for i in range(25)
    ]
    module._log_warnings(findings)
    assert "sloppy headers (25)" in caplog.text
    assert "... and 15 more" in caplog.text
    assert "case 10" not in caplog.text


# Damaged files


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
@pytest.mark.parametrize("what", ["image", "label"])
def test_a_truncated_file_is_named(dataset, share, what):
    path = image(dataset, 0, 0) if what == "image" else label(dataset, 0)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    problem = the_problem_of(dataset)
    assert problem.startswith("tiny_000: ")
    assert path.name in problem
    assert "again" in problem


def test_two_damaged_channels_of_one_case_are_both_named(dataset):
    for channel in range(2):
        path = image(dataset, 1, channel)
        path.write_bytes(path.read_bytes()[:300])
    problems = problems_of(dataset)
    assert [f"tiny_001_000{c}.nii.gz" in p for c, p in enumerate(problems)] == [True, True]


def test_a_flipped_bit_is_found(dataset):
    content = bytearray(image(dataset, 1, 0).read_bytes())
    content[-6] ^= 1  # in the checksum, so that the voxels can still be read
    image(dataset, 1, 0).write_bytes(content)
    assert "tiny_001_0000.nii.gz is damaged" in the_problem_of(dataset)


def test_several_problems_are_reported_together_and_each_only_once(dataset):
    edit_json(dataset, numTraining=4)
    image(dataset, 0, 1).unlink()
    change_image(label(dataset, 0), set_voxel(9))
    path = image(dataset, 1, 0)
    path.write_bytes(path.read_bytes()[:300])
    change_image(label(dataset, 1), set_voxel(8))
    change_image(image(dataset, 2, 0), set_voxel(np.nan))
    change_image(label(dataset, 2), Spacing=(1.25, 1.0, 3.0))
    (dataset / "labelsTr" / "tiny_777.nii.gz").write_bytes(label(dataset, 2).read_bytes())
    problems = problems_of(dataset)
    expected = [
        ("dataset.json", "numTraining = 4"),
        ("tiny_000", "missing: _0001"),
        ("tiny_000", "label values = 9"),
        ("tiny_001", "again"),
        ("tiny_001", "label values = 8"),
        ("tiny_002", "NaN"),
        ("tiny_002", "spacing"),
        ("tiny_777", "image missing"),
    ]
    assert len(problems) == len(expected), problems
    for where, what in expected:
        assert sum(where in problem and what in problem for problem in problems) == 1, (where, what, problems)


def test_the_report_is_one_message_that_old_callers_catch(dataset):
    change_image(label(dataset, 1), set_voxel(9))
    edit_json(dataset, numTraining=4)
    for kind in (DatasetError, RuntimeError, AssertionError):
        with pytest.raises(kind, match=r"Dataset997_Tiny has 2 problems:\n  - .*\n  - "):
            verify_dataset_integrity(dataset)


def test_a_killed_worker_is_a_problem_of_its_case_only(dataset, monkeypatch):
    from nnunetv2.errors import CaseFailures, WorkerError

    def one_dies(function, cases, workers, what):
        results = {case: function(*arguments) for case, arguments in cases if case != "tiny_001"}
        raise CaseFailures(what, {"tiny_001": WorkerError("killed")}, len(cases), results)

    change_image(label(dataset, 2), set_voxel(9))
    monkeypatch.setattr(module, "map_cases", one_dies)
    first, second = problems_of(dataset)
    assert first.startswith("tiny_001: ") and "could not be checked: killed" in first
    assert second.startswith("tiny_002: ")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_counting_values_equals_unique(dtype):
    array = np.random.RandomState(0).randint(0, 9, (1, 4, 6, 5)).astype(dtype)
    if dtype is np.float32:
        array[0, 1, 2, 3], array[0, 2, 0, 0] = 0.5, -3
    values, counts = np.unique(array, return_counts=True)
    assert count_values(array) == dict(zip(values.tolist(), counts.tolist()))


@needs_shared
@pytest.mark.parametrize(
    "name", ["Dataset004_Hippocampus", "Dataset111_SarcomaCT", "Dataset112_SarcomaT1CTPET", "Dataset113_Nuclei2D"]
)
def test_real_data_sets_pass(name):
    verify_dataset_integrity(DATA / name, num_processes=1)
