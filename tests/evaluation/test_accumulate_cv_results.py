"""Collecting a cross-validation, and the summaries of folders."""

import json
import os

import numpy as np
import pytest

from nnunetv2.errors import MissingFileError, UsageError
from nnunetv2.evaluation.accumulate_cv_results import accumulate_cv_results
from nnunetv2.evaluation.folder_summaries import mean_of_defined_dice, reference_folder
from nnunetv2.evaluation.selection_commands import accumulate_crossval_results_entry_point
from tests.evaluation.conftest import write_label_map
from tests.evaluation.tiny_results import DATASET, reference, with_errors, write_model, write_references
from tests.json_comparison import assert_same_json
from tests.shared_data import DATA, GOLDEN, needs_shared


@pytest.fixture
def model(folders):
    write_references(folders)
    return write_model(folders, "2d", with_errors(3))


def accumulate(model, tmp_path, **options):
    return accumulate_cv_results(str(model), str(tmp_path / "merged"), (0, 1), num_processes=1, **options)


def test_predictions_of_all_folds_are_collected_and_evaluated_together(model, tmp_path):
    summary = accumulate(model, tmp_path)
    names = sorted(path.name for path in (tmp_path / "merged").iterdir())
    assert names == [*(f"{case}.nii.gz" for case in "abcd"), "dataset.json", "plans.json", "summary.json"]
    written = json.loads((tmp_path / "merged" / "summary.json").read_text())
    assert len(written["metric_per_case"]) == 4
    expected = [np.count_nonzero(reference(case) == 1) for case in "abcd"]
    dice = np.mean([2 * (n - 3) / (2 * (n - 3) + 3) for n in expected])
    assert written["mean"]["1"]["Dice"] == pytest.approx(dice, abs=1e-12)
    assert summary["mean"][1]["Dice"] == written["mean"]["1"]["Dice"]


def test_references_may_come_from_the_preprocessed_data_set(model, folders, tmp_path):
    preprocessed = folders["nnUNet_preprocessed"] / DATASET
    (folders["nnUNet_raw"] / DATASET / "labelsTr").rename(preprocessed / "gt_segmentations")
    summary = accumulate(model, tmp_path)
    assert "gt_segmentations" in summary["metric_per_case"][0]["reference_file"]


def test_labels_tr_without_all_cases_gives_way_to_the_preprocessed_data_set(model, folders, tmp_path):
    for case in "abcd":
        target = folders["nnUNet_preprocessed"] / DATASET / "gt_segmentations" / f"{case}.nii.gz"
        write_label_map(target, reference(case))
    assert "labelsTr" in reference_folder(DATASET, ["a.nii.gz"])
    (folders["nnUNet_raw"] / DATASET / "labelsTr" / "a.nii.gz").unlink()
    assert "gt_segmentations" in reference_folder(DATASET, ["a.nii.gz"])


def test_missing_references_say_where_was_looked(model, folders, tmp_path, monkeypatch):
    (folders["nnUNet_raw"] / DATASET / "labelsTr" / "a.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"labelsTr and .*gt_segmentations"):
        accumulate(model, tmp_path)
    monkeypatch.delenv("nnUNet_raw")
    monkeypatch.delenv("nnUNet_preprocessed")
    with pytest.raises(MissingFileError, match="not set"):
        accumulate(model, tmp_path)


def test_overwriting_starts_from_nothing(model, tmp_path):
    accumulate(model, tmp_path)
    write_label_map(tmp_path / "merged" / "old.nii.gz", reference("a"))
    accumulate(model, tmp_path)
    assert not (tmp_path / "merged" / "old.nii.gz").exists()


def test_an_evaluation_that_is_up_to_date_is_read(model, tmp_path):
    accumulate(model, tmp_path)
    summary_file = tmp_path / "merged" / "summary.json"
    content = json.loads(summary_file.read_text())
    content["foreground_mean"]["Dice"] = 0.123
    summary_file.write_text(json.dumps(content))
    assert accumulate(model, tmp_path, overwrite=False)["foreground_mean"]["Dice"] == 0.123
    assert accumulate(model, tmp_path, overwrite=True)["foreground_mean"]["Dice"] != 0.123


@pytest.mark.parametrize("change", ["prediction", "reference", "labels", "cases", "nonsense"])
def test_an_evaluation_that_is_out_of_date_is_repeated(model, folders, tmp_path, change):
    before = accumulate(model, tmp_path)["foreground_mean"]["Dice"]
    summary_file = tmp_path / "merged" / "summary.json"
    content = json.loads(summary_file.read_text())
    content["foreground_mean"]["Dice"] = 0.123
    if change == "labels":
        content["mean"].pop("2")
    elif change == "cases":
        content["metric_per_case"].pop()
    summary_file.write_text("[]" if change == "nonsense" else json.dumps(content))
    later = summary_file.stat().st_mtime + 10
    if change == "prediction":
        file = model / "fold_0" / "validation" / "a.nii.gz"
        write_label_map(file, reference("a"))
        os.utime(file, (later, later))
    elif change == "reference":
        os.utime(folders["nnUNet_raw"] / DATASET / "labelsTr" / "a.nii.gz", (later, later))
    after = accumulate(model, tmp_path, overwrite=False)["foreground_mean"]["Dice"]
    assert after == before if change != "prediction" else after > before


def test_the_files_with_the_spacing_of_tiff_stacks_come_along(folders, tmp_path):
    import tifffile

    write_references(folders)
    model = write_model(folders, "2d", split={})
    for name in ("dataset.json", "plans.json"):
        text = (model / name).read_text().replace(".nii.gz", ".tif").replace("SimpleITKIO", "Tiff3DIO")
        (model / name).write_text(text)
    validation = model / "fold_0" / "validation"
    labels = folders["nnUNet_raw"] / DATASET / "labelsTr"
    validation.mkdir(parents=True)
    for folder in (validation, labels):
        tifffile.imwrite(folder / "a.tif", reference("a"), photometric="minisblack")
        (folder / "a.json").write_text('{"spacing": [3.0, 1.0, 2.0]}')
    accumulate_cv_results(str(model), str(tmp_path / "merged"), [0], 1)
    accumulate_cv_results(str(model), str(tmp_path / "merged"), [0], 1)
    assert (tmp_path / "merged" / "a.json").exists()


def test_labels_without_voxels_are_left_out_of_the_mean_of_defined_dice():
    nan = float("nan")
    assert mean_of_defined_dice({"mean": {0: {"Dice": 1.0}, 1: {"Dice": 0.5}, 2: {"Dice": nan}}}) == 0.5
    assert np.isnan(mean_of_defined_dice({"mean": {1: {"Dice": nan}}}))


def test_the_command_collects_into_the_model_folder(model, folders):
    accumulate_crossval_results_entry_point(["995", "-c", "2d", "-f", "0", "1"])
    assert (model / "crossval_results_folds_0_1" / "summary.json").exists()


def test_the_command_accepts_fold_all_and_another_folder(folders, tmp_path):
    write_references(folders)
    write_model(folders, "2d", split={"all": "abcd"})
    accumulate_crossval_results_entry_point([DATASET, "-c", "2d", "-f", "all", "-o", str(tmp_path / "o")])
    assert len(list((tmp_path / "o").glob("*.nii.gz"))) == 4


def test_the_command_refuses_a_folder_that_is_not_empty(model, tmp_path, capsys):
    accumulate(model, tmp_path)
    with pytest.raises(SystemExit) as stop:
        accumulate_crossval_results_entry_point([DATASET, "-c", "2d", "-f", "0", "1", "-o", str(tmp_path / "merged")])
    assert stop.value.code == 1
    assert "merged is not empty" in capsys.readouterr().err


def test_the_function_refuses_to_delete_what_it_did_not_write(model, tmp_path):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "thesis.docx").write_text("x")
    with pytest.raises(UsageError, match=r"thesis\.docx"):
        accumulate(model, tmp_path)


@needs_shared
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_the_recorded_validation_of_a_fold_gives_its_recorded_summary(folders, tmp_path, configuration):
    source = GOLDEN / "crossval" / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    model = tmp_path / source.name
    (model / "fold_1" / "validation").mkdir(parents=True)
    for file in (source / "fold_1" / "validation").glob("*.nii.gz"):
        (model / "fold_1" / "validation" / file.name).symlink_to(file)
    for name in ("plans.json", "dataset.json"):
        (model / name).write_bytes((source / "crossval_results_folds_0_1_2" / name).read_bytes())
    (folders["nnUNet_raw"] / "Dataset004_Hippocampus").mkdir()
    labels = DATA / "Dataset004_Hippocampus" / "labelsTr"
    (folders["nnUNet_raw"] / "Dataset004_Hippocampus" / "labelsTr").symlink_to(labels)
    accumulate_cv_results(str(model), str(tmp_path / "merged"), [1], 1)
    ours = json.loads((tmp_path / "merged" / "summary.json").read_text())
    assert_same_json(ours, json.loads((source / "fold_1" / "validation" / "summary.json").read_text()))
