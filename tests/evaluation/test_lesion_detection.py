"""Lesion-wise detection: the matching rule on paper, and against trying every pairing."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from nnunetv2.errors import ImageError
from nnunetv2.evaluation.lesion_detection import component_overlaps, detect_lesions


def row(text: str) -> np.ndarray:
    """A mask (1, 1, X) from characters: anything but a blank is inside."""
    return np.array([[[letter != " " for letter in text]]])


@pytest.mark.parametrize(
    ("reference", "prediction", "counts"),
    [
        ("xxx   xxx", "xxx   xxx", (2, 0, 0)),
        ("xxx      ", "      xxx", (0, 1, 1)),
        ("xxx   xxx", "xxxxxxxxx", (1, 0, 1)),  # one large prediction finds one lesion only
        ("xxxxxxxxx", "xxx   xxx", (1, 1, 0)),
        ("         ", "x        ", (0, 1, 0)),
        ("x        ", "         ", (0, 0, 1)),
        ("         ", "         ", (0, 0, 0)),
    ],
)
def test_components_are_matched_one_to_one(reference, prediction, counts):
    found = detect_lesions(row(reference), row(prediction))
    assert (found.true_positives, found.false_positives, found.false_negatives) == counts


def test_the_threshold_is_intersection_over_union():
    reference, prediction = row("xxxx  "), row("  xxxx")  # 2 of 6 voxels
    assert detect_lesions(reference, prediction, 1 / 3).true_positives == 1
    assert detect_lesions(reference, prediction, 0.34).true_positives == 0


def test_voxels_that_share_a_corner_are_one_lesion():
    mask = np.zeros((3, 3, 3), bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert component_overlaps(mask, mask).shape == (1, 1)


def test_scores_follow_from_the_counts_and_are_undefined_without_lesions():
    found = detect_lesions(row("xx xx xx   "), row("xx xx     x"))
    assert found.precision() == found.recall() == found.f1() == pytest.approx(2 / 3)
    nothing = detect_lesions(row("  "), row("  "))
    assert all(math.isnan(value) for value in (nothing.precision(), nothing.recall(), nothing.f1()))
    invented = detect_lesions(row("  "), row("x "))
    assert (invented.precision(), invented.f1()) == (0, 0)
    assert math.isnan(invented.recall())


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ImageError, match=r"\(1, 1, 2\).*\(1, 1, 3\)"):
        detect_lesions(row("xx"), row("xxx"))


def naive_overlaps(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Intersection over union of every pair, component by component."""
    labelled = [ndimage.label(mask, np.ones((3, 3, 3))) for mask in (reference, prediction)]
    parts = [[labels == number for number in range(1, count + 1)] for labels, count in labelled]
    return np.array([[(a & b).sum() / (a | b).sum() for b in parts[1]] for a in parts[0]]).reshape(
        len(parts[0]), len(parts[1])
    )


def most_by_trying_all(ratios: np.ndarray, overlap: float) -> float:
    """Largest sum of allowed ratios over all one-to-one pairings."""
    ratios = ratios if ratios.shape[0] <= ratios.shape[1] else ratios.T
    if not ratios.size:
        return 0.0
    allowed = np.where(ratios >= overlap, ratios, 0)
    return max(
        sum(allowed[i, j] for i, j in enumerate(pairing))
        for pairing in itertools.permutations(range(ratios.shape[1]), ratios.shape[0])
    )


masks = arrays(bool, (2, 4, 5), elements=st.integers(0, 3).map(lambda value: value == 0))


@settings(max_examples=60, deadline=None)
@given(masks, masks, st.sampled_from([0.1, 0.3, 0.5]))
def test_the_matching_is_the_best_of_all_pairings(reference, prediction, overlap):
    expected = naive_overlaps(reference, prediction)
    ours = component_overlaps(reference, prediction)
    np.testing.assert_allclose(np.sort(ours, axis=None), np.sort(expected, axis=None))
    if min(expected.shape) <= 6 and max(expected.shape) <= 6:
        found = detect_lesions(reference, prediction, overlap)
        assert found.true_positives + found.false_negatives == expected.shape[0]
        assert found.true_positives + found.false_positives == expected.shape[1]
        best = most_by_trying_all(expected, overlap)
        assert (found.true_positives > 0) == (best > 0)
        # With unions at most 1 each, n pairs can sum to no more than n.
        assert found.true_positives >= best - 1e-9
