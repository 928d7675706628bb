"""Folders of predictions against folders of references."""

import json
import logging
import math
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import CaseFailures, DatasetError, ImageError, MissingFileError, UsageError
from nnunetv2.evaluation.evaluate_predictions import (
    compute_metrics,
    compute_metrics_on_folder,
    compute_metrics_on_folder2,
    compute_metrics_on_folder_simple,
    first_image,
    image_ending,
    labels_to_list_of_regions,
    load_summary_json,
)
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from tests.evaluation.conftest import write_label_map
from tests.shared_data import DATA, GOLDEN, needs_shared


def evaluate(folders, labels=(1, 2), output=None, **options):
    options = {"num_processes": 1, **options}
    return compute_metrics_on_folder(
        str(folders[0]), str(folders[1]), output, SimpleITKIO(), ".nii.gz", labels, **options
    )


def test_metrics_equal_those_of_the_arrays(two_folders):
    result = evaluate(two_folders)
    assert [case["prediction_file"].rsplit("/", 1)[1][0] for case in result["metric_per_case"]] == ["a", "b", "c"]
    for case in result["metric_per_case"]:
        reference, prediction = (
            sitk.GetArrayFromImage(sitk.ReadImage(case[key])) for key in ("reference_file", "prediction_file")
        )
        both = 2 * ((reference == 1) & (prediction == 1)).sum() / ((reference == 1).sum() + (prediction == 1).sum())
        assert case["metrics"][1]["Dice"] == pytest.approx(both, rel=1e-12)
    values = [case["metrics"][1]["Dice"] for case in result["metric_per_case"]]
    assert result["mean"][1]["Dice"] == pytest.approx(np.mean(values), rel=1e-12)


def test_label_absent_from_a_case_does_not_enter_the_mean_over_cases(two_folders):
    result = evaluate(two_folders)
    values = [case["metrics"][2]["Dice"] for case in result["metric_per_case"]]
    assert math.isnan(values[2])
    assert result["mean"][2]["Dice"] == pytest.approx(np.mean(values[:2]), rel=1e-12)


def test_label_absent_from_all_cases_makes_the_foreground_nan_and_is_reported(two_folders, caplog):
    with caplog.at_level(logging.WARNING):
        result = evaluate(two_folders, (1, 9))
    assert math.isnan(result["foreground_mean"]["Dice"])
    assert "no case has a voxel of 9" in caplog.text
    assert f"{result['mean'][1]['Dice']:.4f}" in caplog.text


def test_voxels_with_the_ignore_label_count_nowhere(two_folders):
    counts = evaluate(two_folders, (1,), ignore_label=3)["metric_per_case"][0]["metrics"][1]
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(two_folders[0] / "a.nii.gz")))
    assert sum(counts[name] for name in ("TP", "FP", "FN", "TN")) == (reference != 3).sum()


def test_the_summary_file_has_plain_sorted_keys_and_reads_back(two_folders, tmp_path):
    output = tmp_path / "new" / "metrics.json"
    result = evaluate(two_folders, [np.int64(1), (np.int64(1), np.int64(2)), (2,)], str(output))
    content = json.loads(output.read_text())
    assert list(content) == ["foreground_mean", "mean", "metric_per_case"]
    assert list(content["mean"]) == ["(1, 2)", "(2,)", "1"]
    assert list(content["mean"]["1"]) == ["Dice", "FN", "FP", "IoU", "TN", "TP", "n_pred", "n_ref"]
    assert load_summary_json(output)["mean"] == result["mean"]
    assert type(content["metric_per_case"][0]["metrics"]["1"]["TP"]) is int


def test_worker_processes_give_the_same_result(two_folders):
    assert json.dumps(str(evaluate(two_folders, num_processes=2))) == json.dumps(str(evaluate(two_folders)))


def test_nothing_predicted_is_an_error_and_writes_nothing(two_folders, tmp_path):
    shutil.rmtree(two_folders[1])
    two_folders[1].mkdir()
    output = tmp_path / "summary.json"
    with pytest.raises(DatasetError, match=r"prediction has no file that ends with \.nii\.gz"):
        evaluate(two_folders, output=str(output))
    assert not output.exists()


def test_missing_predictions_are_listed_unless_chill(two_folders):
    for case in "ab":
        (two_folders[1] / f"{case}.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"a\.nii\.gz, b\.nii\.gz .*--chill"):
        evaluate(two_folders, chill=False)
    assert len(evaluate(two_folders, chill=True)["metric_per_case"]) == 1


def test_missing_references_are_listed_even_with_chill(two_folders):
    (two_folders[0] / "b.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"reference lacks .*b\.nii\.gz"):
        evaluate(two_folders, chill=True)


def test_missing_folder_is_named(two_folders):
    with pytest.raises(MissingFileError, match="the prediction folder .*nowhere does not exist"):
        evaluate((two_folders[0], two_folders[0].parent / "nowhere"))


def test_output_that_is_no_json_file_is_refused_before_any_work(two_folders):
    with pytest.raises(UsageError, match=r"metrics\.txt must end with \.json"):
        evaluate(two_folders, output="metrics.txt")


def test_different_shapes_are_an_error_that_names_both_files_and_shapes(two_folders):
    write_label_map(two_folders[1] / "b.nii.gz", np.zeros((4, 5, 7)))
    with pytest.raises(CaseFailures, match=r"prediction/b\.nii\.gz.*reference/b\.nii\.gz.*4, 5, 6.*4, 5, 7"):
        evaluate(two_folders)
    with pytest.raises(ImageError):
        compute_metrics(*(str(folder / "b.nii.gz") for folder in two_folders), SimpleITKIO(), [1])


@pytest.mark.parametrize(
    ("geometry", "named"), [({"spacing": (3.0, 1.0, 2.5)}, "spacing"), ({"origin": (5.0, 0, 0)}, "origin")]
)
def test_other_geometry_is_only_a_warning(two_folders, caplog, geometry, named):
    reference = sitk.GetArrayFromImage(sitk.ReadImage(str(two_folders[0] / "a.nii.gz")))
    write_label_map(two_folders[1] / "a.nii.gz", reference, **geometry)
    with caplog.at_level(logging.WARNING):
        metrics = compute_metrics(*(str(folder / "a.nii.gz") for folder in two_folders), SimpleITKIO(), 1)["metrics"]
    assert metrics[1]["Dice"] == 1
    assert named in caplog.text
    assert "a.nii.gz" in caplog.text


def test_equal_geometry_gives_no_warning(two_folders, caplog):
    evaluate(two_folders)
    assert not caplog.text


def test_simple_evaluation_ignores_json_files_and_finds_the_ending(two_folders):
    for folder in two_folders:
        (folder / "a.json").write_text("{}")
        (folder / "dataset.json").write_text("{}")
    result = compute_metrics_on_folder_simple(*map(str, two_folders), [0, 1, 3], num_processes=1)
    assert len(result["metric_per_case"]) == 3
    foreground = np.mean([result["mean"][label]["Dice"] for label in (1, 3)])
    assert result["foreground_mean"]["Dice"] == pytest.approx(foreground, rel=1e-12)
    assert (two_folders[1] / "summary.json").is_file()


def test_labels_regions_and_ignore_label_come_from_dataset_json(two_folders, tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}
    content = {"labels": labels, "regions_class_order": [1, 2], "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "plans.json").write_text(json.dumps({"label_manager": "LabelManager", "configurations": {}}))
    files = [str(tmp_path / name) for name in ("dataset.json", "plans.json")]
    result = compute_metrics_on_folder2(*map(str, two_folders), *files, num_processes=1)
    assert list(result["mean"]) == [(1, 2), (2,)]
    expected = evaluate(two_folders, [(1, 2), (2,)], ignore_label=3)
    assert result["mean"] == expected["mean"]
    assert (two_folders[1] / "summary.json").is_file()


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("case.1.nii.gz", ".nii.gz"),
        ("x.NII.GZ", ".NII.GZ"),
        ("a.b.png", ".png"),
        ("volume.nii", ".nii"),
        ("x.foo", ".foo"),
    ],
)
def test_endings_with_several_parts_stay_whole(name, ending):
    assert image_ending(name) == ending


def test_folder_without_an_image_is_an_error(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(DatasetError, match="holds no segmentation"):
        first_image(tmp_path)


def test_each_label_becomes_a_region_of_its_own():
    assert labels_to_list_of_regions([1, np.int64(3)]) == [(1,), (3,)]


@needs_shared
def test_recorded_predictions_give_the_recorded_summary_key_by_key(tmp_path):
    folder = GOLDEN / "predictions" / "3d_fold0_tta"
    output = tmp_path / "summary.json"
    compute_metrics_on_folder2(
        str(DATA / "Dataset004_Hippocampus" / "labelsTs"),
        str(folder),
        str(folder / "dataset.json"),
        str(folder / "plans.json"),
        str(output),
        num_processes=1,
    )
    ours, recorded = (json.loads(path.read_text()) for path in (output, folder / "summary.json"))
    for summary in (ours, recorded):
        for case in summary["metric_per_case"]:
            for key in ("prediction_file", "reference_file"):
                case[key] = case[key].rsplit("/", 1)[-1]
    assert ours == recorded
    assert list(ours) == list(recorded)
