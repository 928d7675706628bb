"""Making dictionaries with numpy and torch values fit for JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


def plain_value(value: Any) -> Any:
    """``value`` with numpy scalars and arrays, torch devices and their containers as plain Python.

    Tuples stay tuples. Raises TypeError for a tensor: a large array in JSON is a mistake.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [plain_value(v) for v in value.tolist()]
    if isinstance(value, dict):
        return {plain_value(k): plain_value(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            type(value)(plain_value(v) for v in value)
            if type(value) in (list, tuple)
            else list(map(plain_value, value))
        )
    if type(value).__module__ == "torch" and type(value).__name__ == "device":
        return str(value)
    return value


def recursive_fix_for_json_export(my_dict: dict) -> None:
    """Replace, in place, every key and value of ``my_dict`` that JSON cannot hold; see ``plain_value``."""
    for key in list(my_dict):
        value = my_dict[key]
        if isinstance(value, dict):
            recursive_fix_for_json_export(value)
        else:
            value = plain_value(value)
        plain_key = plain_value(key)
        if type(plain_key) is not type(key):
            del my_dict[key]
        my_dict[plain_key] = value


def fix_types_iterable(iterable: Iterable, output_type: Callable) -> Any:
    """``output_type`` of the plain values of ``iterable``."""
    return output_type(plain_value(value) for value in iterable)
