"""Collecting findings about one file."""

from __future__ import annotations

from typing import Any

from nnunetv2.records.findings import MISSING, Finding, Severity, value_text

# Longer values are cut in messages about plans, whose lists can be very long.
VALUE_LENGTH = 90


class Report:
    """The findings about one file in the order in which they were made; the same one is kept once."""

    def __init__(self, file: str):
        self.file = file
        self._findings: dict[Finding, None] = {}
        self.errors = 0
        """How many errors were reported, those included that were known already."""

    @property
    def findings(self) -> list[Finding]:
        """All findings so far."""
        return list(self._findings)

    def add(self, key: str, value: Any, reason: str, remedy: str, severity: Severity = "error") -> None:
        """Note that ``value`` under ``key`` is wrong."""
        self._note(key, value_text(value, VALUE_LENGTH), reason, remedy, severity)

    def add_missing(self, key: str, reason: str, remedy: str, severity: Severity = "error") -> None:
        """Note that nothing stands under ``key``."""
        self._note(key, MISSING, reason, remedy, severity)

    def _note(self, key: str, value: str, reason: str, remedy: str, severity: Severity) -> None:
        finding = Finding(severity=severity, file=self.file, key=key, value=value, reason=reason, remedy=remedy)
        self._findings.setdefault(finding)
        self.errors += severity == "error"
