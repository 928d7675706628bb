"""Measures beyond ``summary.json``, per case and label: surface distances and lesion-wise detection.

Undefined values follow ``summary.json``: NaN when neither reference nor prediction has a voxel. When only one of them
has, Dice and NSD are 0, HD95 and ASSD infinite. Means are over the finite values; how many were left out is told.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnunetv2.errors import UsageError
from nnunetv2.evaluation.case_files import CasePair, pairs_of_folders, read_pair, tasks_of
from nnunetv2.evaluation.lesion_detection import DEFAULT_OVERLAP, Detections, detect_lesions
from nnunetv2.evaluation.metrics import LabelOrRegion, compute_tp_fp_fn_tn, overlap_metrics
from nnunetv2.evaluation.resampling_statistics import Comparison, compare_paired, estimate_mean
from nnunetv2.evaluation.surface_distances import surface_distances
from nnunetv2.records.files import PathLike, atomic_path, write_json
from nnunetv2.records.summary import label_or_region_to_key
from nnunetv2.utilities.executors import map_cases

SCORES = ("Dice", "NSD", "HD95", "ASSD", "lesion_precision", "lesion_recall", "lesion_F1")
COUNTS = ("lesions_TP", "lesions_FP", "lesions_FN")
COLUMNS = (*SCORES, *COUNTS)

Values = dict[str, float]
CaseTable = dict[str, dict[LabelOrRegion, Values]]
"""Case to label or region to the values of ``COLUMNS``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is measured, and how."""

    labels: tuple[LabelOrRegion, ...]
    tolerance: float = 2.0
    """Of the normalized surface Dice, in mm."""
    overlap: float = DEFAULT_OVERLAP
    """Smallest intersection over union at which a lesion counts as found."""
    ignore_label: int | None = None
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0


def measure_masks(
    reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], tolerance: float, overlap: float
) -> Values:
    """All ``COLUMNS`` of two boolean masks (Z, Y, X); ``spacing`` in mm in the same order."""
    distances = surface_distances(reference, prediction, spacing)
    lesions = detect_lesions(reference, prediction, overlap)
    return {
        "Dice": overlap_metrics(*compute_tp_fp_fn_tn(reference, prediction))["Dice"],
        "NSD": distances.surface_dice(tolerance),
        "HD95": distances.hausdorff(95),
        "ASSD": distances.average(),
        **_detection_scores(lesions),
        "lesions_TP": lesions.true_positives,
        "lesions_FP": lesions.false_positives,
        "lesions_FN": lesions.false_negatives,
    }


def _detection_scores(lesions: Detections) -> Values:
    return {
        "lesion_precision": lesions.precision(),
        "lesion_recall": lesions.recall(),
        "lesion_F1": lesions.f1(),
    }


def _measure_pair(pair: CasePair, settings: Settings) -> dict[LabelOrRegion, Values]:
    maps = read_pair(pair)
    return {
        label: measure_masks(
            *maps.masks(label, settings.ignore_label), maps.spacing, settings.tolerance, settings.overlap
        )
        for label in settings.labels
    }


def measure_folder(
    folder_ref: PathLike, folder_pred: PathLike, settings: Settings, num_processes: int = 0, chill: bool = False
) -> CaseTable:
    """Values of every case of two folders. Raises as ``pairs_of_folders``, CaseFailures for unreadable cases."""
    pairs = pairs_of_folders(folder_ref, folder_pred, chill)
    return map_cases(_measure_pair, tasks_of(pairs, settings), num_processes, what="evaluation")


def column(table: CaseTable, label: LabelOrRegion, name: str) -> list[float]:
    """One value of all cases, in their order."""
    return [values[label][name] for values in table.values()]


def summarize(table: CaseTable, settings: Settings) -> dict[LabelOrRegion, dict[str, Any]]:
    """Per label: mean and interval of every score, and ``all_lesions``, detection over the lesions of all cases."""
    summary: dict[LabelOrRegion, dict[str, Any]] = {}
    for label in settings.labels:
        estimates: dict[str, Any] = {
            name: asdict(
                estimate_mean(column(table, label, name), settings.confidence, settings.resamples, settings.seed)
            )
            for name in SCORES
        }
        total = Detections(
            true_positives=int(sum(column(table, label, "lesions_TP"))),
            false_positives=int(sum(column(table, label, "lesions_FP"))),
            false_negatives=int(sum(column(table, label, "lesions_FN"))),
        )
        summary[label] = {**estimates, "all_lesions": {**asdict(total), **_detection_scores(total)}}
    return summary


def compare_tables(
    first: CaseTable, second: CaseTable, settings: Settings
) -> dict[LabelOrRegion, dict[str, Comparison]]:
    """Per label and score: ``first`` minus ``second``, paired by case. Raises UsageError when the cases differ."""
    if set(first) != set(second):
        only = sorted(set(first) ^ set(second))
        raise UsageError(
            f"the two folders of predictions do not have the same cases; only one of them has {', '.join(only[:10])}. "
            "Paired tests need both of every case"
        )
    second = {case: second[case] for case in first}
    return {
        label: {
            name: compare_paired(
                column(first, label, name),
                column(second, label, name),
                settings.confidence,
                settings.resamples,
                settings.seed,
            )
            for name in SCORES
        }
        for label in settings.labels
    }


def save_case_csv(table: CaseTable, path: PathLike) -> None:
    """One row per case and label; undefined values are empty, infinite ones ``inf``."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["case", "label", *COLUMNS])
    for case, labels in table.items():
        for label, values in labels.items():
            cells = ["" if math.isnan(values[name]) else values[name] for name in COLUMNS]
            writer.writerow([case, label_or_region_to_key(label), *cells])
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")


def save_metrics_json(
    table: CaseTable,
    settings: Settings,
    path: PathLike,
    comparison: Mapping[LabelOrRegion, Mapping[str, Comparison]] | None = None,
) -> None:
    """Settings, every case, the summary and, if given, the comparison. Undefined is null, infinite ``"inf"``."""
    content: dict[str, Any] = {
        "settings": asdict(settings),
        "cases": {case: _keyed(labels) for case, labels in table.items()},
        "summary": _keyed(summarize(table, settings)),
    }
    if comparison is not None:
        content["comparison"] = _keyed(
            {label: {name: asdict(value) for name, value in scores.items()} for label, scores in comparison.items()}
        )
    write_json(path, _plain(content), sort_keys=False)


def _keyed(by_label: Mapping[LabelOrRegion, Any]) -> dict[str, Any]:
    return {label_or_region_to_key(label): value for label, value in by_label.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "inf"
    return value
