"""A finding: where in which file, what stands there, why that is wrong, and the way out."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

# Longer values are cut in messages; the file has the whole.
VALUE_LENGTH = 90


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One problem of a plans file.

    An ``error`` is certain to fail and stops commands. A ``warning`` runs, but hardly as meant. A ``note`` may well be
    on purpose, such as an entry that only a trainer of one's own reads; it does not count as a problem.
    """

    severity: Severity
    file: str
    key: str
    """Path of the entry, such as ``configurations.3d_fullres.patch_size``."""
    value: str
    """What stands there, as JSON; ``missing`` for what does not."""
    reason: str
    remedy: str

    def __str__(self) -> str:
        state = "is missing" if self.value == MISSING else f"is {self.value}"
        return f"{self.file}: {self.key} {state}: {self.reason}. {self.remedy}"

    def to_json(self) -> dict[str, str]:
        """As plain data."""
        return asdict(self)


MISSING = "missing"


def value_text(value: Any) -> str:
    """A value as JSON on one line, shortened."""
    text = json.dumps(value, default=str)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 4]} ..."


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
