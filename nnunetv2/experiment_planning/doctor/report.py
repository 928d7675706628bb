"""The report of an examination, as text for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nnunetv2.experiment_planning.doctor.case_examination import CaseFacts
from nnunetv2.experiment_planning.doctor.resources import Resources, in_words
from nnunetv2.records.findings import DatasetFinding, counted

_SHOWN_PER_KIND = 10


@dataclass(frozen=True, kw_only=True)
class Report:
    """Findings in a fixed order, and what the data set is like."""

    folder: str
    channel_names: tuple[str, ...]
    labels: dict[str, Any]
    number_of_cases: int
    examined: tuple[CaseFacts, ...]
    """Cases whose voxels were looked at, in order."""
    resources: Resources | None
    findings: tuple[DatasetFinding, ...]

    def count(self, severity: str) -> int:
        """Number of findings of one severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def orientations(self) -> dict[str, int]:
        """How many cases have which orientation, most frequent first."""
        return dict(Counter(case.orientation for case in self.examined if case.orientation).most_common())

    def cases_with_label(self) -> dict[int, int]:
        """Label value to the number of cases that have it."""
        counts = Counter(
            int(value) for case in self.examined for value in case.label_counts or {} if value == value // 1
        )
        return dict(sorted(counts.items()))

    def geometry(self) -> dict[str, dict[str, list[float]]]:
        """Smallest, median and largest shape and spacing per axis (Z, Y, X)."""
        found = {}
        for what in ("shape", "spacing"):
            values = [getattr(case, what) for case in self.examined if getattr(case, what) is not None]
            if values:
                statistics = {"smallest": np.min, "median": np.median, "largest": np.max}
                found[what] = {
                    name: [round(float(v), 4) for v in function(np.array(values, dtype=float), axis=0)]
                    for name, function in statistics.items()
                }
        return found

    def intensities(self) -> list[dict[str, Any]]:
        """Lowest and highest value of each channel over all cases."""
        found = []
        for index, name in enumerate(self.channel_names):
            channels = [case.channels[index] for case in self.examined if len(case.channels) > index]
            if channels:
                lowest, highest = min(c.lowest for c in channels), max(c.highest for c in channels)
                found.append({"channel": name, "lowest": lowest, "highest": highest})
        return found

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "folder": self.folder,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "notes": self.count("note"),
            "findings": [finding.to_json() for finding in self.findings],
            "cases": self.number_of_cases,
            "cases_examined": len(self.examined),
            "channels": self.intensities(),
            "labels": self.labels,
            "cases_with_label": {str(label): n for label, n in self.cases_with_label().items()},
            "orientations": self.orientations,
            **self.geometry(),
            "resources": None if self.resources is None else asdict(self.resources),
        }

    def to_text(self) -> str:
        """For the terminal: what the data set is like, then the findings."""
        lines = [self._headline(), *(f"  {line}" for line in self._description()), ""]
        for severity in ("error", "warning", "note"):
            found = [finding for finding in self.findings if finding.severity == severity]
            if found:
                lines += [f"{counted(len(found), severity)}:", *_listed(found), ""]
        errors, warnings = self.count("error"), self.count("warning")
        lines.append(
            f"{counted(errors, 'error')}, {counted(warnings, 'warning')}" if errors or warnings else "no problems found"
        )
        return "\n".join(lines)

    def _headline(self) -> str:
        cases = f"{self.number_of_cases} training cases"
        if len(self.examined) < self.number_of_cases:
            cases += f", {len(self.examined)} of them examined (a sample; what follows is estimated from it)"
        return f"{self.folder}: {cases}"

    def _description(self) -> list[str]:
        lines = []
        for channel in self.intensities():
            lines.append(f"channel {channel['channel']}: {channel['lowest']:g} to {channel['highest']:g}")
        for what, unit in (("shape", "voxels"), ("spacing", "mm")):
            values = self.geometry().get(what)
            if values:
                median, low, high = (values[key] for key in ("median", "smallest", "largest"))
                lines.append(f"{what} (Z, Y, X), {unit}: median {_row(median)}, from {_row(low)} to {_row(high)}")
        if self.orientations:
            lines.append("orientations: " + ", ".join(f"{name} {n}" for name, n in self.orientations.items()))
        if self.examined:
            counts = self.cases_with_label()
            lines.append("cases with label: " + ", ".join(f"{label} {n}" for label, n in counts.items()))
        if self.resources is not None:
            lines += _resource_lines(self.resources)
        return lines


def _resource_lines(needed: Resources) -> list[str]:
    return [
        f"disk: {in_words(needed.raw_bytes)} raw, up to {in_words(needed.preprocessed_bytes)} preprocessed per "
        "configuration at the median spacing, before compression",
        f"memory: about {in_words(needed.memory_bytes)} per preprocessing worker with the largest case",
        f"time in one process: about {_duration(needed.check_seconds)} to read and check all cases, "
        f"{_duration(needed.preprocessing_seconds)} to preprocess them (estimated from {needed.estimated_from} cases)",
    ]


def _listed(findings: Sequence[DatasetFinding]) -> list[str]:
    """One line each; of many findings of one kind the first ones."""
    seen: Counter[tuple[str, str]] = Counter()
    totals = Counter((finding.kind, finding.key) for finding in findings)
    lines = []
    for finding in findings:
        group = (finding.kind, finding.key)
        seen[group] += 1
        if seen[group] <= _SHOWN_PER_KIND or not finding.kind:
            lines.append(f"  - {finding!s}")
        elif seen[group] == totals[group]:
            more = totals[group] - _SHOWN_PER_KIND
            lines.append(f'  - ... and {more} more of the kind "{finding.kind}"; --json lists all')
    return lines


def _row(values: Sequence[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
