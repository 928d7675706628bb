"""What a table of per-case values says about other cases: bootstrap intervals, and a paired test of two tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, wilcoxon

FEWEST_CASES = 2
"""With a single case there is nothing to resample."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Mean of the finite values with its confidence interval."""

    mean: float
    low: float
    high: float
    cases: int
    """Values the mean is made of."""
    left_out: int
    """Values that are undefined (NaN) or infinite."""


def estimate_mean(values: Sequence[float], confidence: float = 0.95, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Mean of the finite values, and the percentile bootstrap interval over cases.

    NaN without a finite value. The interval is the mean itself when all values are equal, NaN for a single case.
    """
    array = np.asarray(values, dtype=float)
    finite = array[np.isfinite(array)]
    facts = {"cases": int(finite.size), "left_out": int(array.size - finite.size)}
    if not finite.size:
        return Estimate(mean=float("nan"), low=float("nan"), high=float("nan"), **facts)
    mean = float(finite.mean())
    if finite.size < FEWEST_CASES:
        return Estimate(mean=mean, low=float("nan"), high=float("nan"), **facts)
    if np.ptp(finite) == 0:
        return Estimate(mean=mean, low=mean, high=mean, **facts)
    low, high = _interval((finite,), np.mean, confidence, resamples, seed)
    return Estimate(mean=mean, low=low, high=high, **facts)


def _interval(
    data: tuple[np.ndarray, ...], statistic: Callable, confidence: float, resamples: int, seed: int
) -> tuple[float, float]:
    result = bootstrap(
        data,
        statistic,
        n_resamples=resamples,
        batch=max(1, 10**6 // data[0].size),
        confidence_level=confidence,
        method="percentile",
        random_state=np.random.default_rng(seed),
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two tables, case by case: the first minus the second."""

    difference: Estimate
    p_value: float
    """Two-sided, of the Wilcoxon signed-rank test; 1 when no pair differs, NaN without two usable pairs."""


def compare_paired(
    first: Sequence[float], second: Sequence[float], confidence: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Comparison:
    """Compare values of the same cases in the same order. Pairs in which one is not finite are left out and counted."""
    one, other = (np.asarray(values, dtype=float) for values in (first, second))
    if one.shape != other.shape:
        raise ValueError(f"pairs are compared; there are {one.size} and {other.size} values")
    usable = np.isfinite(one) & np.isfinite(other)
    differences = np.where(usable, np.where(usable, one, 0) - np.where(usable, other, 0), np.nan)
    estimate = estimate_mean(differences, confidence, resamples, seed)
    if estimate.cases < FEWEST_CASES:
        return Comparison(difference=estimate, p_value=float("nan"))
    if not differences[usable].any():
        return Comparison(difference=estimate, p_value=1.0)
    # Ties and zeros are common (equal scores); Pratt ranks zeros, too, and then leaves them out.
    return Comparison(difference=estimate, p_value=float(wilcoxon(differences[usable], zero_method="pratt").pvalue))
