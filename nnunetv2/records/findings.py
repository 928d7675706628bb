"""A finding: where, what stands there, why that is wrong, and the way out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

MISSING = "missing"
_VALUE_LENGTH = 120
"""Longer values are cut in messages; the file has the whole."""
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing noticed about a data set.

    An ``error`` makes it unusable as it is. A ``warning`` is allowed, but hardly meant. A ``note`` is worth knowing.
    """

    severity: Severity = "error"
    file: str
    """The file or folder it is about."""
    key: str
    """The entry of a JSON file, or what was looked at, such as ``spacing`` or ``label values``."""
    value: str
    """What stands there; ``missing`` for what does not."""
    reason: str
    remedy: str
    case: str = ""
    """Case id; empty for what concerns the whole data set."""
    kind: str = ""
    """A few words for what all of this kind have in common; long lists are cut by kind."""

    @property
    def is_error(self) -> bool:
        """Whether the data set cannot be used like this."""
        return self.severity == "error"

    @property
    def text(self) -> str:
        """A sentence with all of it."""
        state = MISSING if self.value == MISSING else f"= {self.value}"
        case = f"{self.case}: " if self.case else ""
        remedy = self.remedy[:1].upper() + self.remedy[1:]
        return f"{case}{self.file}: {self.key} {state}: {self.reason}. {remedy}"

    def to_json(self) -> dict[str, str]:
        """As plain data, keys in reading order."""
        names = ("severity", "kind", "case", "file", "key", "value", "reason", "remedy")
        return {name: getattr(self, name) for name in names}


def sort_key(finding: Finding) -> tuple[Any, ...]:
    """Order of findings in reports: severity, then the data set before its cases, then file, key and value."""
    return (
        *(_ORDER.index(finding.severity), finding.case != "", finding.case),
        *(finding.file, finding.key, finding.value, finding.reason),
    )


def value_text(value: Any) -> str:
    """A value as JSON on one line, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _VALUE_LENGTH else f"{text[: _VALUE_LENGTH - 4]} ..."


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The known word that ``word`` is most likely a misspelling of, or None."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[close[0]] if close else None
