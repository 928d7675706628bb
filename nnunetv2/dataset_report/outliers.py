"""Which cases differ from the others, by one stated rule.

The modified z-score is that of Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): with MAD, the median
absolute deviation, it is 0.6745 (x - median) / MAD; when more than half of the values are equal, so that MAD is 0, it
is (x - median) / (1.2533 mean absolute deviation). Both estimate (x - mean) / standard deviation, hardly disturbed by
outliers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2.dataset_report.case_facts import CaseFacts

THRESHOLD = 3.5  # recommended in the source above
FEWEST_CASES = 5
"""With fewer cases there is no usual value to differ from."""
_SMALLEST_DIFFERENCE = 0.01
"""Part of the median; smaller differences are rounding, such as a spacing of 0.9765 beside 0.9766."""

RULE = (
    f"A value is marked when its modified z-score (Iglewicz and Hoaglin 1993) exceeds {THRESHOLD} and it differs from "
    f"the median by more than {_SMALLEST_DIFFERENCE:.0%}; sizes, spacings and volumes are compared by their "
    f"logarithms. This needs at least {FEWEST_CASES} cases. Also marked are orientations other than that of most "
    "cases, labels that most cases have and this one lacks, labels that dataset.json does not name, voxels that are "
    "not finite, and files that cannot be read."
)

AXES = ("z", "y", "x")


@dataclass(frozen=True)
class Mark:
    """Something unusual: the quantity it concerns (as in ``quantities``) and a sentence about it."""

    quantity: str
    text: str


def quantities(facts: CaseFacts, label_names: Mapping[int, str]) -> dict[str, float]:
    """The numbers of a case that are compared, by name; volumes in ml, NaN for a label without voxels."""
    found: dict[str, float] = {}
    for axis, size, step in zip(AXES, facts.shape, facts.spacing, strict=True):
        found |= {f"shape_{axis}": float(size), f"spacing_{axis}": step}
    for index, channel in enumerate(facts.channels):
        found |= {
            f"intensity_min_{index}": channel.minimum,
            f"intensity_p00_5_{index}": channel.percentile_00_5,
            f"intensity_mean_{index}": channel.mean,
            f"intensity_p99_5_{index}": channel.percentile_99_5,
            f"intensity_max_{index}": channel.maximum,
        }
    for value, name in label_names.items():
        if facts.voxels is not None and value != 0:
            voxels = facts.voxels.get(value, 0)
            found[f"volume_ml_{name}"] = voxels * facts.voxel_volume if voxels else math.nan
    return found


def compared_by_logarithm(quantity: str) -> bool:
    """Whether ratios matter for a quantity, not differences."""
    return quantity.startswith(("shape_", "spacing_", "volume_ml_"))


def modified_z_scores(values: np.ndarray) -> np.ndarray:
    """Scores of ``values`` (1-D), NaN where the value is NaN; all 0 when all values are equal."""
    deviation = values - np.nanmedian(values)
    spread = np.nanmedian(np.abs(deviation)) / 0.6745
    if not spread > 0:
        spread = 1.2533 * np.nanmean(np.abs(deviation))
    return deviation / spread if spread > 0 else np.where(np.isnan(values), np.nan, 0.0)


def find_outliers(cases: Sequence[CaseFacts], label_names: Mapping[int, str]) -> dict[str, list[Mark]]:
    """Marks of every case that has some. ``label_names``: value to name of all labels in dataset.json."""
    marks: dict[str, list[Mark]] = {}

    def mark(facts: CaseFacts, quantity: str, text: str) -> None:
        marks.setdefault(facts.case, []).append(Mark(quantity, text))

    _mark_numbers(cases, label_names, mark)
    _mark_orientations(cases, mark)
    _mark_labels([facts for facts in cases if facts.voxels is not None], label_names, mark)
    for facts in cases:
        for index, channel in enumerate(facts.channels):
            if channel.not_finite:
                mark(facts, f"intensity_min_{index}", f"{channel.not_finite} voxels are not finite")
    return marks


_MarkFunction = Callable[[CaseFacts, str, str], None]


def _mark_numbers(cases: Sequence[CaseFacts], label_names: Mapping[int, str], mark: _MarkFunction) -> None:
    per_case = [quantities(facts, label_names) for facts in cases]
    for quantity in dict.fromkeys(name for numbers in per_case for name in numbers):
        members = [
            (facts, n[quantity]) for facts, n in zip(cases, per_case) if not math.isnan(n.get(quantity, math.nan))
        ]
        if len(members) < FEWEST_CASES:
            continue
        values = np.array([value for _, value in members])
        median = float(np.median(values))
        logarithm = compared_by_logarithm(quantity)
        scores = modified_z_scores(np.log(values) if logarithm else values)
        for (facts, value), score in zip(members, scores, strict=True):
            if abs(score) > THRESHOLD and abs(value - median) > _SMALLEST_DIFFERENCE * abs(median):
                mark(facts, quantity, f"{quantity} is {value:.5g}, median {median:.5g}, z-score {score:.1f}")


def _mark_orientations(cases: Sequence[CaseFacts], mark: _MarkFunction) -> None:
    usual, count = Counter(facts.orientation for facts in cases).most_common(1)[0] if cases else ("", 0)
    for facts in cases:
        if 2 * count > len(cases) and facts.orientation != usual:
            mark(facts, "orientation", f"orientation is {facts.orientation or 'unknown'}, most cases have {usual}")


def _mark_labels(cases: Sequence[CaseFacts], label_names: Mapping[int, str], mark: _MarkFunction) -> None:
    for value, name in label_names.items():
        without = [facts for facts in cases if not facts.voxels.get(value)]
        if 2 * len(without) < len(cases):
            for facts in without:
                mark(facts, f"volume_ml_{name}", f"label {value} ({name}) is absent")
    for facts in cases:
        for value in sorted(set(facts.voxels) - set(label_names)):
            mark(facts, f"voxels_{value}", f"label {value} is not in dataset.json ({facts.voxels[value]} voxels)")
