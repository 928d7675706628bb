"""Surface and lesion measures of folders, their files, and the command."""

import csv
import json
import math

import numpy as np
import pytest

from nnunetv2.errors import UsageError
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder_simple
from nnunetv2.evaluation.extended_metrics import COLUMNS, Settings, compare_tables, measure_folder, summarize
from nnunetv2.evaluation.metrics_command import evaluate_metrics_entry_point
from tests.evaluation.conftest import write_label_map

SHAPE = (9, 14, 11)
SPACING = (3.0, 1.0, 2.0)


def lesion(shift: int = 0, label: int = 1) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[3:6, 4:9, 3 + shift : 7 + shift] = label
    return array


@pytest.fixture
def three_folders(tmp_path):
    """References; predictions one voxel (2 mm) off, missing, and of a healthy case; perfect predictions."""
    empty = np.zeros(SHAPE, np.uint8)
    cases = {"a": (lesion(), lesion(1)), "b": (lesion(), empty), "c": (empty, empty)}
    for case, (reference, prediction) in cases.items():
        for folder, array in (("ref", reference), ("off", prediction), ("perfect", reference)):
            write_label_map(tmp_path / folder / f"{case}.nii.gz", array, SPACING)
    return tmp_path / "ref", tmp_path / "off", tmp_path / "perfect"


def test_values_of_shifted_missed_and_absent_lesions(three_folders):
    table = measure_folder(*three_folders[:2], Settings(labels=(1,), tolerance=1.0))
    shifted, missed, absent = (table[case][1] for case in "abc")
    assert shifted["Dice"] == 0.75
    assert shifted["HD95"] == 2
    assert 0 < shifted["NSD"] < 1
    assert 0 < shifted["ASSD"] < 2
    assert (shifted["lesions_TP"], shifted["lesion_F1"]) == (1, 1)
    assert (missed["Dice"], missed["NSD"], missed["HD95"], missed["ASSD"]) == (0, 0, math.inf, math.inf)
    assert (missed["lesions_FN"], missed["lesion_recall"]) == (1, 0)
    assert all(math.isnan(absent[name]) for name in ("Dice", "NSD", "HD95", "ASSD", "lesion_F1"))


def test_dice_equals_that_of_the_summary(two_folders):
    reference, prediction = map(str, two_folders)
    summary = compute_metrics_on_folder_simple(reference, prediction, [1, 2], num_processes=0, ignore_label=3)
    table = measure_folder(reference, prediction, Settings(labels=(1, 2), ignore_label=3))
    for case in summary["metric_per_case"]:
        name = case["reference_file"].split("/")[-1].removesuffix(".nii.gz")
        for label in (1, 2):
            np.testing.assert_equal(table[name][label]["Dice"], case["metrics"][label]["Dice"])


def test_a_region_is_the_union_of_its_labels(tmp_path):
    both = np.maximum(lesion(), np.roll(lesion(label=2), 4, 2))
    write_label_map(tmp_path / "ref" / "a.nii.gz", both)
    write_label_map(tmp_path / "pred" / "a.nii.gz", (both > 0).astype(np.uint8))
    table = measure_folder(tmp_path / "ref", tmp_path / "pred", Settings(labels=((1, 2), 2)))
    assert table["a"][(1, 2)]["Dice"] == 1
    assert table["a"][2]["Dice"] == 0


def test_means_are_over_what_is_finite_and_lesions_are_pooled(three_folders):
    summary = summarize(measure_folder(*three_folders[:2], Settings(labels=(1,))), Settings(labels=(1,)))[1]
    assert (summary["HD95"]["mean"], summary["HD95"]["left_out"]) == (2, 2)
    assert (summary["Dice"]["mean"], summary["Dice"]["left_out"]) == (0.375, 1)
    assert summary["all_lesions"]["lesion_recall"] == 0.5


def test_tables_of_other_cases_cannot_be_compared(three_folders):
    settings = Settings(labels=(1,))
    table = measure_folder(*three_folders[:2], settings)
    with pytest.raises(UsageError, match="only one of them has c"):
        compare_tables(table, {case: table[case] for case in "ab"}, settings)
    swapped = compare_tables(table, {case: table[case] for case in "cba"}, settings)
    assert swapped[1]["Dice"].p_value == 1


def test_the_command_writes_both_files_compares_and_leaves_the_summary_alone(three_folders, capsys):
    reference, off, perfect = map(str, three_folders)
    arguments = [reference, off, "-l", "1", "--compare", perfect, "--tolerance", "1", "-np", "0", "--resamples", "200"]
    evaluate_metrics_entry_point(arguments)
    printed = capsys.readouterr().out
    assert "all lesions: 1 found, 1 missed, 0 invented" in printed
    assert "Dice minus the other folder's: -0.6250" in printed
    content = json.loads((three_folders[1] / "metrics.json").read_text())
    assert content["settings"]["tolerance"] == 1
    assert content["cases"]["b"]["1"]["HD95"] == "inf"
    assert content["cases"]["c"]["1"]["Dice"] is None
    assert content["comparison"]["1"]["Dice"]["difference"]["cases"] == 2
    with open(three_folders[1] / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["a", "b", "c"]
    assert set(rows[0]) == {"case", "label", *COLUMNS}
    assert (rows[1]["HD95"], rows[2]["HD95"]) == ("inf", "")
    assert not (three_folders[1] / "summary.json").exists()


def test_labels_and_ignore_label_come_from_dataset_json(two_folders, capsys):
    content = {"labels": {"background": "0", "a": "1", "b": "2", "ignore": "3"}, "channel_names": {"0": "CT"}}
    (two_folders[1] / "dataset.json").write_text(json.dumps(content | {"file_ending": ".nii.gz", "numTraining": 3}))
    evaluate_metrics_entry_point([*map(str, two_folders), "-np", "0", "--resamples", "100"])
    settings = json.loads((two_folders[1] / "metrics.json").read_text())["settings"]
    assert (settings["labels"], settings["ignore_label"]) == ([1, 2], 3)
    assert "label 2: mean and 95 % interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [["--overlap", "0"], ["--overlap", "1.5"], ["--confidence", "95"], ["--resamples", "1"], ["--tolerance", "-1"]],
)
def test_numbers_that_make_no_sense_end_with_status_2(flags, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluate_metrics_entry_point(["ref", "pred", "-l", "1", *flags])
    assert stop.value.code == 2
    assert f"{flags[0]} is " in capsys.readouterr().err
