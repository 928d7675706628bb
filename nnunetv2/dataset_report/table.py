"""The numbers of all cases as CSV, one row per case."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

from nnunetv2.dataset_report.case_facts import CaseFacts
from nnunetv2.dataset_report.outliers import AXES, Mark
from nnunetv2.records.files import PathLike, atomic_path

_STATISTICS = {
    "min": "minimum",
    "p00_5": "percentile_00_5",
    "median": "median",
    "mean": "mean",
    "std": "std",
    "p99_5": "percentile_99_5",
    "max": "maximum",
}


def columns(num_channels: int, label_names: Mapping[int, str]) -> list[str]:
    """Names of the columns, in order. Shapes are in voxels, spacings in mm, both in array order; volumes in ml."""
    return [
        *("case", "part", *(f"shape_{axis}" for axis in AXES), *(f"spacing_{axis}" for axis in AXES), "orientation"),
        *(f"intensity_{name}_{index}" for index in range(num_channels) for name in _STATISTICS),
        *(f"voxels_{name}" for name in label_names.values()),
        *(f"volume_ml_{name}" for value, name in label_names.items() if value != 0),
        "outliers",
    ]


def row_of(facts: CaseFacts, label_names: Mapping[int, str], marks: Sequence[Mark]) -> dict[str, object]:
    """The row of one case; columns of labels are left out for a case without label map."""
    row: dict[str, object] = {"case": facts.case, "part": facts.part, "orientation": facts.orientation}
    for axis, size, step in zip(AXES, facts.shape, facts.spacing, strict=True):
        row |= {f"shape_{axis}": size, f"spacing_{axis}": f"{step:.6g}"}
    for index, channel in enumerate(facts.channels):
        row |= {f"intensity_{name}_{index}": f"{getattr(channel, key):.6g}" for name, key in _STATISTICS.items()}
    if facts.voxels is not None:
        for value, name in label_names.items():
            voxels = facts.voxels.get(value, 0)
            row[f"voxels_{name}"] = voxels
            row[f"volume_ml_{name}"] = f"{voxels * facts.voxel_volume:.6g}"
    row["outliers"] = "; ".join(mark.text for mark in marks)
    return row


def write_table(
    path: PathLike,
    cases: Sequence[CaseFacts],
    label_names: Mapping[int, str],
    marks: Mapping[str, Sequence[Mark]],
    failures: Mapping[str, str],
) -> None:
    """Write the CSV file, atomically; cases that could not be read have a row that says why."""
    names = columns(max((len(facts.channels) for facts in cases), default=0), label_names)
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, restval="", extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(row_of(facts, label_names, marks.get(facts.case, ())) for facts in cases)
        writer.writerows({"case": case, "outliers": reason} for case, reason in failures.items())
