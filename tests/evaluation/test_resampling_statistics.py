"""Bootstrap intervals and paired tests, against plain twins."""

import itertools
import math

import numpy as np
import pytest

from nnunetv2.evaluation.resampling_statistics import compare_paired, estimate_mean

VALUES = [0.2, 0.9, 0.5, 0.7, 0.4, 0.8, 0.6, 0.95]


def test_the_interval_is_that_of_resampled_means():
    estimate = estimate_mean(VALUES, resamples=4000)
    rng = np.random.RandomState(1)
    means = rng.choice(VALUES, (20000, len(VALUES))).mean(axis=1)
    assert estimate.mean == pytest.approx(np.mean(VALUES))
    assert (estimate.low, estimate.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.015)


def test_the_same_seed_gives_the_same_interval_and_more_confidence_a_wider_one():
    assert estimate_mean(VALUES, seed=3) == estimate_mean(VALUES, seed=3)
    narrow, wide = (estimate_mean(VALUES, confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_undefined_and_infinite_values_are_left_out_and_counted():
    estimate = estimate_mean([*VALUES, math.nan, math.inf])
    assert (estimate.cases, estimate.left_out, estimate.mean) == (8, 2, pytest.approx(np.mean(VALUES)))


def test_too_few_or_equal_values_have_no_spread():
    nothing, single, equal = estimate_mean([math.nan]), estimate_mean([0.5]), estimate_mean([0.5, 0.5, 0.5])
    assert math.isnan(nothing.mean)
    assert single.mean == 0.5
    assert math.isnan(single.low)
    assert (equal.low, equal.high) == (0.5, 0.5)


def signed_rank_p(differences: list[float]) -> float:
    """Exact two-sided p of the signed-rank test, by all assignments of signs (no zeros, no ties)."""
    ranks = np.argsort(np.argsort(np.abs(differences))) + 1
    observed = ranks[np.array(differences) > 0].sum()
    sums = [np.dot(signs, ranks) for signs in itertools.product((0, 1), repeat=len(ranks))]
    low = np.mean([value <= observed for value in sums])
    high = np.mean([value >= observed for value in sums])
    return min(1.0, 2 * min(low, high))


def test_the_p_value_is_that_of_all_sign_assignments():
    other = [0.1, 0.85, 0.52, 0.6, 0.34, 0.65, 0.57, 0.75]
    result = compare_paired(VALUES, other)
    assert result.p_value == pytest.approx(signed_rank_p([a - b for a, b in zip(VALUES, other)]))
    assert result.difference.mean == pytest.approx(np.mean(VALUES) - np.mean(other))


def test_swapping_the_tables_changes_the_sign_only():
    other = [0.1, 0.85, 0.52, 0.6, 0.34, 0.65, 0.57, 0.75]
    one, two = compare_paired(VALUES, other), compare_paired(other, VALUES)
    assert one.p_value == two.p_value
    assert one.difference.mean == -two.difference.mean


def test_equal_tables_do_not_differ_and_undefined_pairs_are_left_out():
    assert compare_paired(VALUES, VALUES).p_value == 1
    result = compare_paired([*VALUES, math.inf, math.nan], [*VALUES[1:], 0.1, math.inf, 0.5])
    assert (result.difference.cases, result.difference.left_out) == (8, 2)
    assert math.isnan(compare_paired([0.1], [0.2]).p_value)
    with pytest.raises(ValueError, match="8 and 1 values"):
        compare_paired(VALUES, [0.1])
