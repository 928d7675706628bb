"""How many faults of each kind: a few by default, all of them with ``NNUNET_FAULTS=full``."""

from __future__ import annotations

import os

VARIABLE = "NNUNET_FAULTS"

#: kind: (by default, in the full run)
COUNTS: dict[str, tuple[int, int]] = {
    "kills of a stage": (2, 20),
    "kills of a worker": (1, 10),
    "damaged files": (40, 200),
    "hostile files": (30, 30),
    "seconds of fuzzing": (3, 600),
    "predictions of the soak": (40, 500),
}


def is_full() -> bool:
    """Whether this is the full run. Raises ValueError when the variable holds anything but "full"."""
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "full"):
        raise ValueError(f"{VARIABLE} is {asked!r}; it may be full, or not set")
    return asked == "full"


def count(kind: str) -> int:
    """Number of faults of this kind in this run."""
    return COUNTS[kind][is_full()]
