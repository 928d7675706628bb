"""What kind of value stands somewhere, whether it came from a file or was made in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any

# Quotients and products of a few such numbers are finite.
_LARGEST = 1e100
_LARGEST_SIZE = 2**31


def plain(value: Any) -> Any:
    """Arrays and tuples as lists, everything else as it is."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value) if isinstance(value, tuple) else value


def is_integer(value: Any) -> bool:
    """A whole number; ``true`` is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_positive_integer(value: Any) -> bool:
    """1, 2, 3, ... up to what sizes of arrays may be."""
    return is_integer(value) and 0 < value < _LARGEST_SIZE


def is_number(value: Any) -> bool:
    """A finite number, far from the largest a float can hold."""
    return isinstance(value, Real) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def is_positive_number(value: Any) -> bool:
    """A number above 0, far from the smallest a float can hold."""
    return is_number(value) and value > 1 / _LARGEST


def is_text(value: Any) -> bool:
    """Text that is not empty."""
    return isinstance(value, str) and bool(value)


def is_list_of(test: Callable[[Any], bool], value: Any, length: int | Sequence[int] | None = None) -> bool:
    """A list whose items all pass ``test``; ``length`` is the number of items, or a choice of such numbers."""
    value = plain(value)
    lengths = [length] if isinstance(length, int) else length
    return isinstance(value, list) and all(map(test, value)) and (lengths is None or len(value) in lengths)
