"""The values of all epochs as a table that any spreadsheet or plotting tool can read."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.records.files import PathLike, atomic_path


def per_class(key: str, values: Sequence[Any]) -> dict[str, Any]:
    """One entry per class for a value that is a list, named ``key/class_1`` and so on."""
    return {f"{key}/class_{number}": value for number, value in enumerate(values, start=1)}


def metrics_rows(values_per_epoch: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """One dictionary per epoch, from one list per key. Keys with fewer epochs are absent from the last ones."""
    rows: list[dict[str, Any]] = [{"epoch": e} for e in range(max(map(len, values_per_epoch.values()), default=0))]
    for key, values in values_per_epoch.items():
        for row, value in zip(rows, values):
            row.update(per_class(key, value) if isinstance(value, (list, tuple)) else {key: value})
    return rows


def write_metrics_csv(values_per_epoch: Mapping[str, Sequence[Any]], path: PathLike) -> None:
    """Write one line per epoch, atomically. Absent values are empty."""
    rows = metrics_rows(values_per_epoch)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
