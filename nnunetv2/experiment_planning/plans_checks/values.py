"""What kind of value stands somewhere, whether it came from a file or was made in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from numbers import Integral, Real
from typing import Any


def plain(value: Any) -> Any:
    """Arrays and tuples as lists, everything else as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def is_integer(value: Any) -> bool:
    """A whole number; ``true`` is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_positive_integer(value: Any) -> bool:
    """1, 2, 3, ..."""
    return is_integer(value) and value > 0


def is_number(value: Any) -> bool:
    """A finite number."""
    return isinstance(value, Real) and not isinstance(value, bool) and isfinite(value)


def is_positive_number(value: Any) -> bool:
    """A number above 0."""
    return is_number(value) and value > 0


def is_text(value: Any) -> bool:
    """Text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_list_of(test: Callable[[Any], bool], value: Any, length: int | Sequence[int] | None = None) -> bool:
    """A list whose items all pass ``test``; ``length`` is the number of items, or a choice of such numbers."""
    value = plain(value)
    lengths = [length] if isinstance(length, int) else length
    return isinstance(value, list) and all(map(test, value)) and (lengths is None or len(value) in lengths)
