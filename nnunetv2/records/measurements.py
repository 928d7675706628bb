"""``measurements.csv``: what the prediction of every case took, beside the predictions.

A table with a header and one line per case. Columns: ``case`` (name without file ending), ``seconds``,
``start_up_seconds``, ``gpu_peak_mib``, ``gpu_mib_seconds``, ``host_peak_mib``, ``host_mib_seconds``. Only ``case`` and
``seconds`` are needed; an empty cell is "not measured". The same as JSON is a list of objects with these keys.
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nnunetv2.errors import FileContentError
from nnunetv2.records.files import PathLike, atomic_path, read_json, read_text

MEASUREMENTS_CSV = "measurements.csv"
_NOT_MEASURED = float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseMeasurement:
    """Time and memory of one case. NaN stands for "not measured"."""

    case: str
    seconds: float
    """From reading the image to the written segmentation."""
    start_up_seconds: float = 0.0
    """From the start of the process to the loaded model: what a container of its own would have added."""
    gpu_peak_mib: float = _NOT_MEASURED
    """Most memory in use on the GPU, by all programs, as nvidia-smi shows it."""
    gpu_mib_seconds: float = _NOT_MEASURED
    """Area under the curve of GPU memory over the time of the case."""
    host_peak_mib: float = _NOT_MEASURED
    """Most main memory of the predicting process (resident set)."""
    host_mib_seconds: float = _NOT_MEASURED
    """Area under the curve of main memory over the time of the case."""

    @classmethod
    def from_json(cls, row: Mapping[str, Any], source: str) -> CaseMeasurement:
        """Raises FileContentError naming ``source``, case, column and value when something is missing or no number."""
        case = row.get("case")
        if not case or not isinstance(case, str):
            raise FileContentError(f"{source}: a row has no case: {dict(row)}. Give the name without file ending")
        values = {}
        for field in fields(cls)[1:]:
            if row.get(field.name) not in (None, ""):
                values[field.name] = _number(row[field.name], f"{source}: case {case}: {field.name}")
        if "seconds" not in values:
            raise FileContentError(f"{source}: case {case} has no seconds; this column is needed")
        return cls(case=case, **values)

    def to_json(self) -> dict[str, Any]:
        """A row; what was not measured is None."""
        return {key: None if value != value else value for key, value in asdict(self).items()}


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise FileContentError(f"{where} is {value!r}; it must be a number of 0 or more, or empty")
    return number


def load_measurements(path: PathLike) -> dict[str, CaseMeasurement]:
    """Case to measurement, from a ``.csv`` or ``.json`` file.

    Raises MissingFileError or FileContentError (also when a case is there twice), naming the file.
    """
    source = os.fspath(path)
    rows = read_json(path) if source.lower().endswith(".json") else _csv_rows(path)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise FileContentError(f"{source} must hold a list with one object per case")
    measurements: dict[str, CaseMeasurement] = {}
    for row in rows:
        measurement = CaseMeasurement.from_json(row, source)
        if measurement.case in measurements:
            raise FileContentError(f"{source} has case {measurement.case} twice; remove one of the rows")
        measurements[measurement.case] = measurement
    return measurements


def _csv_rows(path: PathLike) -> list[dict[str, Any]]:
    reader = csv.DictReader(io.StringIO(read_text(path, encoding="utf-8-sig")))
    missing = {"case", "seconds"} - set(reader.fieldnames or ())
    if missing:
        raise FileContentError(
            f"{os.fspath(path)} has no column {', '.join(sorted(missing))}; the first line names the columns, "
            f"here {reader.fieldnames}"
        )
    return list(reader)


def save_measurements(measurements: Iterable[CaseMeasurement], path: PathLike) -> None:
    """Write a ``measurements.csv``, atomically; seconds with three digits, memory with one."""
    names = [field.name for field in fields(CaseMeasurement)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    for measurement in measurements:
        writer.writerow({key: _cell(key, value) for key, value in measurement.to_json().items()})
    with atomic_path(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding="utf-8")


def _cell(name: str, value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return f"{value:.3f}" if name in ("seconds", "start_up_seconds") else f"{value:.1f}"
