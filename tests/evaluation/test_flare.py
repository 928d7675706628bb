"""The FLARE score: rules worked out by hand, files, and the command."""

import csv
import json
import math

import numpy as np
import pytest

from nnunetv2.errors import FileContentError, ImageError, MissingFileError
from nnunetv2.evaluation.flare import dsc_and_nsd, evaluate_flare, mean_and_deviation
from nnunetv2.evaluation.flare_command import evaluate_flare_entry_point
from nnunetv2.records.measurements import CaseMeasurement, save_measurements
from tests.evaluation.conftest import write_label_map

SHAPE = (9, 14, 11)
EMPTY = np.zeros(SHAPE, bool)


def lesion(shift: int = 0) -> np.ndarray:
    mask = EMPTY.copy()
    mask[3:6, 4:9, 3 + shift : 7 + shift] = True
    return mask


@pytest.mark.parametrize(
    ("reference", "prediction", "score"), [(EMPTY, EMPTY, 1), (EMPTY, lesion(), 0), (lesion(), EMPTY, 0)]
)
def test_empty_masks_follow_the_rule_of_the_challenge(reference, prediction, score):
    assert dsc_and_nsd(reference, prediction, (3, 1, 1)) == (score, score)


def test_a_shift_within_the_tolerance_costs_dice_but_no_surface_dice():
    dsc, nsd = dsc_and_nsd(lesion(), lesion(1), (3.0, 1.0, 2.0), 2.0)
    assert dsc == 0.75
    assert nsd == 1
    assert dsc_and_nsd(lesion(), lesion(1), (3.0, 1.0, 2.5), 2.0)[1] < 1


@pytest.fixture
def flare_folders(tmp_path):
    """Three cases: shifted by a voxel of 2 mm, healthy and found healthy, lesion missed. Label 2 is no lesion."""
    for case, reference, prediction in (("a", lesion(), lesion(1)), ("b", EMPTY, EMPTY), ("c", lesion(), EMPTY)):
        write_label_map(tmp_path / "ref" / f"{case}.nii.gz", np.where(reference, 1, 2 * np.roll(reference, 1, 0)))
        write_label_map(tmp_path / "pred" / f"{case}.nii.gz", prediction)
    return tmp_path / "ref", tmp_path / "pred"


def test_cases_are_scored_and_averaged(flare_folders):
    scores = evaluate_flare(*flare_folders)
    assert [(score.case, score.dsc, score.nsd) for score in scores] == [("a", 0.75, 1), ("b", 1, 1), ("c", 0, 0)]
    mean, deviation = mean_and_deviation(scores)
    assert mean["dsc"] == pytest.approx(1.75 / 3)
    assert deviation["nsd"] == pytest.approx(math.sqrt(2) / 3)
    assert math.isnan(mean["running_time_s"])


def test_several_labels_are_one_lesion(flare_folders):
    assert evaluate_flare(*flare_folders, labels=(1, 2))[0].dsc < 0.75


def test_the_command_writes_json_and_csv_and_prints_percents(flare_folders, capsys):
    reference, prediction = flare_folders
    rows = [CaseMeasurement(case=case, seconds=2, start_up_seconds=3, host_mib_seconds=100) for case in "abc"]
    save_measurements(rows, prediction / "measurements.csv")
    evaluate_flare_entry_point([str(reference), str(prediction), "--tolerance", "1.5", "-np", "0"])
    printed = capsys.readouterr().out
    assert "DSC: 58.33 ± 42.49 %" in printed
    assert "running time: 5.0 ± 0.0 s" in printed
    assert "GPU" not in printed
    content = json.loads((prediction / "flare.json").read_text())
    assert content["tolerance_mm"] == 1.5
    assert content["cases"][0]["gpu_memory_time_mib_s"] is None
    assert content["mean"]["host_memory_time_mib_s"] == 100
    with open(prediction / "flare.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["case"] for row in table] == ["a", "b", "c", "mean"]
    assert float(table[-1]["dsc"]) == content["mean"]["dsc"]


def test_measurements_that_lack_a_case_are_refused(flare_folders, tmp_path):
    save_measurements([CaseMeasurement(case="a", seconds=1)], tmp_path / "m.csv")
    with pytest.raises(FileContentError, match=r"m\.csv has no row for 2 case\(s\): b, c"):
        evaluate_flare(*flare_folders, measurements_file=tmp_path / "m.csv")


def test_a_missing_prediction_and_another_shape_are_named(flare_folders):
    reference, prediction = flare_folders
    (prediction / "c.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"lacks predictions of c\.nii\.gz"):
        evaluate_flare(reference, prediction)
    assert [score.case for score in evaluate_flare(reference, prediction, chill=True)] == ["a", "b"]
    write_label_map(prediction / "c.nii.gz", EMPTY[1:])
    with pytest.raises(Exception, match=r"c\.nii\.gz has shape \(8, 14, 11\)") as caught:
        evaluate_flare(reference, prediction)
    assert isinstance(caught.value.__cause__, ImageError)
