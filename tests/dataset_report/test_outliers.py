"""Which cases are marked."""

import numpy as np
import pytest

from nnunetv2.dataset_report.case_facts import CaseFacts, Intensities
from nnunetv2.dataset_report.outliers import FEWEST_CASES, find_outliers, modified_z_scores, quantities

NAMES = {0: "background", 1: "lesion"}


def facts(index: int, **changes) -> CaseFacts:
    """A usual case; its numbers differ a little from case to case."""
    spread = (index * 7 % 13) / 12 - 0.5  # evenly from -0.5 to 0.5
    intensities = {
        "minimum": -1000.0 + 10 * spread,
        "percentile_00_5": -990.0,
        "median": 40.0,
        "mean": 50 + 5 * spread,
        "std": 10.0,
        "percentile_99_5": 500 + 30 * spread,
        "maximum": 900 + 50 * spread,
        "not_finite": changes.pop("not_finite", 0),
        "histogram": (1,) * 64,
        "foreground_histogram": (),
    }
    settings = {
        "case": f"case_{index}",
        "part": "training",
        "shape": (50 + index % 3, 100, 100),
        "spacing": (2.0, 0.9765, 0.9765),
        "orientation": "LPS",
        "channels": (Intensities(**intensities | changes.pop("intensities", {})),),
        "voxels": {0: 400_000, 1: int(1000 * (1 + spread))},
        "thumbnail": b"",
        "thumbnail_size": (1.0, 1.0),
    }
    return CaseFacts(**settings | changes)


def marked(odd: CaseFacts, usual: int = 12) -> dict[str, list[str]]:
    """Case to marked quantities, among ``usual`` others."""
    found = find_outliers([*(facts(index) for index in range(usual)), odd], NAMES)
    return {case: [mark.quantity for mark in marks] for case, marks in found.items()}


def test_usual_cases_are_not_marked():
    assert marked(facts(99)) == {}


@pytest.mark.parametrize(
    ("changes", "quantity"),
    [
        ({"spacing": (2.0, 0.9765, 0.5)}, "spacing_x"),
        ({"spacing": (5.0, 0.9765, 0.9765)}, "spacing_z"),
        ({"shape": (500, 100, 100)}, "shape_z"),
        ({"intensities": {"minimum": 0.0}}, "intensity_min_0"),
        ({"intensities": {"maximum": 30000.0}}, "intensity_max_0"),
        ({"voxels": {0: 1, 1: 90_000}}, "volume_ml_lesion"),
        ({"voxels": {0: 1}}, "volume_ml_lesion"),
        ({"voxels": {0: 1, 1: 1000, 7: 3}}, "voxels_7"),
        ({"orientation": "RAS"}, "orientation"),
        ({"not_finite": 4}, "intensity_min_0"),
    ],
)
def test_what_differs_is_marked_and_nothing_else(changes, quantity):
    assert marked(facts(99, **changes)) == {"case_99": [quantity]}


def test_marks_say_value_and_median_and_score():
    found = find_outliers([*(facts(index) for index in range(12)), facts(99, spacing=(5.0, 0.9765, 0.9765))], NAMES)
    assert found["case_99"][0].text.startswith("spacing_z is 5, median 2, z-score ")


def test_rounding_is_no_difference():
    assert marked(facts(99, spacing=(2.0, 0.9766, 0.9765))) == {}


def test_a_few_cases_have_no_usual_value():
    assert marked(facts(99, shape=(500, 100, 100)), usual=FEWEST_CASES - 2) == {}
    assert marked(facts(99, orientation="RAS"), usual=1) == {}, "one against one is no majority"


def test_labels_that_half_of_the_cases_lack_are_not_missed():
    cases = [facts(index, voxels={0: 10, 1: 900} if index % 2 else {0: 10}) for index in range(8)]
    assert find_outliers(cases, NAMES) == {}


def test_test_cases_without_labels_take_part_with_their_image_only():
    assert marked(facts(99, part="test", voxels=None)) == {}
    assert marked(facts(99, part="test", voxels=None, shape=(500, 100, 100))) == {"case_99": ["shape_z"]}
    assert "volume_ml_lesion" not in quantities(facts(1, voxels=None), NAMES)


def test_scores_follow_the_definition():
    values = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    np.testing.assert_allclose(modified_z_scores(values), 0.6745 * (values - 3) / 1)
    mostly_equal = np.array([1.0, 1.0, 1.0, 1.0, 2.0])
    np.testing.assert_allclose(modified_z_scores(mostly_equal), (mostly_equal - 1) / (1.2533 * 0.2))
    assert modified_z_scores(np.ones(4)).tolist() == [0, 0, 0, 0]


def test_scores_of_a_normal_distribution_are_about_those_of_mean_and_deviation():
    values = np.random.default_rng(0).normal(10, 3, 20_000)
    np.testing.assert_allclose(modified_z_scores(values), (values - 10) / 3, atol=0.15)
