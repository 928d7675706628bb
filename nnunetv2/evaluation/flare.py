"""The score of the FLARE challenges: DSC and normalized surface Dice of lesions, running time, memory over time.

The challenge's rule for empty masks: DSC and NSD are 1 when neither reference nor prediction has a voxel, and 0 when
only one of them has. This differs from ``summary.json``, which leaves the first kind of case out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from os.path import isfile, join
from typing import Any

import numpy as np

from nnunetv2.errors import FileContentError
from nnunetv2.evaluation.case_files import CasePair, LabelMaps, pairs_of_folders, read_pair, tasks_of
from nnunetv2.evaluation.metrics import compute_tp_fp_fn_tn
from nnunetv2.evaluation.surface_distances import surface_distances
from nnunetv2.records.files import PathLike, atomic_path, write_json
from nnunetv2.records.measurements import MEASUREMENTS_CSV, CaseMeasurement, load_measurements
from nnunetv2.utilities.executors import map_cases

LESION_TOLERANCE_MM = 2.0
"""Distance within which two lesion surfaces agree, as in FLARE23 and FLARE24."""
RULE_FOR_EMPTY = "DSC and NSD are 1 when reference and prediction are empty, 0 when one of them is"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlareScore:
    """Score of one case; NaN for what was not measured."""

    case: str
    dsc: float
    """Dice similarity coefficient, 0 to 1."""
    nsd: float
    """Normalized surface Dice at the tolerance, 0 to 1."""
    running_time_s: float
    """Start-up and case together, since the challenge starts a container for every case."""
    gpu_memory_time_mib_s: float
    """Area under the curve of GPU memory over time."""
    host_memory_time_mib_s: float
    """The same for main memory."""


def dsc_and_nsd(
    reference: np.ndarray, prediction: np.ndarray, spacing: Sequence[float], tolerance: float = LESION_TOLERANCE_MM
) -> tuple[float, float]:
    """DSC and NSD of two boolean masks (Z, Y, X); ``spacing`` in mm in the same order. Empty ones: see the module."""
    if not reference.any() or not prediction.any():
        score = float(reference.any() == prediction.any())
        return score, score
    tp, fp, fn, _ = compute_tp_fp_fn_tn(reference, prediction)
    return 2 * tp / (2 * tp + fp + fn), surface_distances(reference, prediction, spacing).surface_dice(tolerance)


def _overlap_of_case(pair: CasePair, labels: Sequence[int], tolerance: float) -> tuple[float, float]:
    maps: LabelMaps = read_pair(pair)
    return dsc_and_nsd(*maps.masks(tuple(labels)), maps.spacing, tolerance)


def evaluate_flare(
    folder_ref: PathLike,
    folder_pred: PathLike,
    labels: Sequence[int] = (1,),
    tolerance: float = LESION_TOLERANCE_MM,
    measurements_file: PathLike | None = None,
    num_processes: int = 0,
    chill: bool = False,
) -> list[FlareScore]:
    """Scores of every case. ``labels`` together are the lesions.

    Time and memory come from ``measurements_file``, else from ``measurements.csv`` beside the predictions, if there is
    one. Raises FileContentError when it lacks cases, otherwise as ``pairs_of_folders``.
    """
    pairs = pairs_of_folders(folder_ref, folder_pred, chill)
    measured = _measurements(folder_pred, measurements_file, [pair.case for pair in pairs])
    overlaps = map_cases(_overlap_of_case, tasks_of(pairs, tuple(labels), tolerance), num_processes, what="evaluation")
    return [_score(case, *overlap, measured.get(case)) for case, overlap in overlaps.items()]


def _measurements(folder: PathLike, given: PathLike | None, cases: Sequence[str]) -> dict[str, CaseMeasurement]:
    path = join(folder, MEASUREMENTS_CSV) if given is None else given
    if given is None and not isfile(path):
        return {}
    measured = load_measurements(path)
    absent = [case for case in cases if case not in measured]
    if absent:
        raise FileContentError(
            f"{path} has no row for {len(absent)} case(s): {', '.join(absent[:10])}. Measure them, too, or name a "
            "complete file with --measurements"
        )
    return measured


def _score(case: str, dsc: float, nsd: float, measured: CaseMeasurement | None) -> FlareScore:
    nothing = float("nan")
    return FlareScore(
        case=case,
        dsc=dsc,
        nsd=nsd,
        running_time_s=nothing if measured is None else measured.seconds + measured.start_up_seconds,
        gpu_memory_time_mib_s=nothing if measured is None else measured.gpu_mib_seconds,
        host_memory_time_mib_s=nothing if measured is None else measured.host_mib_seconds,
    )


def mean_and_deviation(scores: Sequence[FlareScore]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation (of the population) of every column over the cases; NaN unless all have it."""
    columns = {field.name: [getattr(score, field.name) for score in scores] for field in fields(FlareScore)[1:]}
    mean = {name: float(np.mean(values)) for name, values in columns.items()}
    return mean, {name: float(np.std(values)) for name, values in columns.items()}


def save_flare_json(scores: Sequence[FlareScore], labels: Sequence[int], tolerance: float, path: PathLike) -> None:
    """Write settings, every case, mean and standard deviation; what was not measured is null."""
    mean, deviation = mean_and_deviation(scores)
    content = {
        "labels": list(labels),
        "tolerance_mm": tolerance,
        "rule_for_empty": RULE_FOR_EMPTY,
        "cases": [_without_nan(asdict(score)) for score in scores],
        "mean": _without_nan(mean),
        "standard_deviation": _without_nan(deviation),
    }
    write_json(path, content, sort_keys=False)


def save_flare_csv(scores: Sequence[FlareScore], path: PathLike) -> None:
    """Write one row per case and a last one named ``mean``; what was not measured is empty."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(FlareScore)], lineterminator="\n")
    writer.writeheader()
    for row in (*map(asdict, scores), {"case": "mean", **mean_and_deviation(scores)[0]}):
        writer.writerow(_without_nan(row))
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: None if value != value else value for key, value in row.items()}
