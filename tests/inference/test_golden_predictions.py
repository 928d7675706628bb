"""Real checkpoints of nnU-Net v2 predict real cases; what nnU-Net v2 made of them was recorded."""

import pytest

from benchmarks.prediction_parity import REQUIRED, compare_case, predict_run
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder_simple
from nnunetv2.records.summary import load_summary_json
from tests.shared_data import DATA, GOLDEN, SHARED, needs_shared

# Sums over tiles and folds are float16, whose last bit changes with the order of additions inside a convolution; one
# such step in a logit near 1 moves a probability by up to 2.5e-4. Measured: 2.4e-4 at most.
PROBABILITY_TOLERANCE = 5e-4


def check(run, folder, cases):
    for case in predict_run(SHARED, run, folder, cases):
        equal, difference = compare_case(GOLDEN / "predictions" / run, folder, case)
        assert equal >= REQUIRED, f"{case}: {100 * equal:.4f} % of the voxels are equal"
        assert difference is None or difference < PROBABILITY_TOLERANCE, case


@needs_shared
def test_two_cases_without_mirroring_equal_the_recorded_labels(tmp_path):
    check("3d_fold0_notta", tmp_path, 2)


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("run", ["3d_fold0_notta", "2d_3folds_tta"])
def test_all_cases_equal_the_recorded_labels(run, tmp_path):
    check(run, tmp_path, None)


@needs_shared
@pytest.mark.slow
def test_mirrored_predictions_and_their_dice_equal_the_recorded_ones(tmp_path):
    check("3d_fold0_tta", tmp_path, None)
    ours = compute_metrics_on_folder_simple(
        str(DATA / "Dataset004_Hippocampus" / "labelsTs"), str(tmp_path), [1, 2], str(tmp_path / "summary.json"), 1
    )
    recorded = load_summary_json(str(GOLDEN / "predictions" / "3d_fold0_tta" / "summary.json"))
    for label in (1, 2):
        assert ours["mean"][label]["Dice"] == pytest.approx(recorded["mean"][label]["Dice"], abs=1e-4)
    assert ours["foreground_mean"]["Dice"] == pytest.approx(recorded["foreground_mean"]["Dice"], abs=1e-4)
