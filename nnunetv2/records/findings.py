"""A finding: where, what stands there, why that is wrong, and the way out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

MISSING = "missing"
_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing noticed about a file.

    An ``error`` is certain to fail. A ``warning`` is allowed, but hardly meant. A ``note`` is worth knowing, and may
    well be on purpose; it does not count as a problem.
    """

    severity: Severity = "error"
    file: str
    """The file or folder it is about."""
    key: str
    """The entry, such as ``configurations.2d.patch_size``, or what was looked at, such as ``label values``."""
    value: str
    """What stands there, from a JSON file as JSON; ``missing`` for what does not."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        state = "is missing" if self.value == MISSING else f"is {self.value}"
        return f"{self.file}: {self.key} {state}: {self.reason}. {self.remedy}"

    def to_json(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class DatasetFinding(Finding):
    """One thing noticed about a data set or one of its cases."""

    case: str = ""
    """Case id; empty for what concerns the whole data set."""
    kind: str = ""
    """A few words for what all of this kind have in common; long lists are cut by kind."""

    @property
    def is_error(self) -> bool:
        """Whether the data set cannot be used like this."""
        return self.severity == "error"

    def __str__(self) -> str:
        state = MISSING if self.value == MISSING else f"= {self.value}"
        case = f"{self.case}: " if self.case else ""
        remedy = self.remedy[:1].upper() + self.remedy[1:]
        return f"{case}{self.file}: {self.key} {state}: {self.reason}. {remedy}"

    def to_json(self) -> dict[str, str]:
        """As plain data, keys in reading order."""
        return {"severity": self.severity, "kind": self.kind, "case": self.case, **super().to_json()}


def sort_key(finding: DatasetFinding) -> tuple[Any, ...]:
    """Order of findings in reports: severity, then the data set before its cases, then file, key and value."""
    return (
        *(_ORDER.index(finding.severity), finding.case != "", finding.case),
        *(finding.file, finding.key, finding.value, finding.reason),
    )


def value_text(value: Any, length: int = 120) -> str:
    """A value as JSON on one line, cut to ``length`` characters; the file has the whole."""
    text = json.dumps(value, default=str)
    return text if len(text) <= length else f"{text[: length - 4]} ..."


def counted(number: int, word: str) -> str:
    """``1 error``, ``2 errors``."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The known word that ``word`` is most likely a misspelling of, or None."""
    by_lower_case = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=cutoff)
    return by_lower_case[close[0]] if close else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """A sentence that names the likely word, or all there are."""
    known = sorted(known)
    near = did_you_mean(word, known)
    return f"Did you mean {near}?" if near else f"There are: {', '.join(known)}"
