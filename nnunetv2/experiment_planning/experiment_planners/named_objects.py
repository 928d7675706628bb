"""Classes and functions that plans refer to by name, so that planning does not import what it only names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def dotted_name(class_or_name: type | str) -> str:
    """``module.Class`` as plans write it; text is taken as it is."""
    if isinstance(class_or_name, str):
        return class_or_name
    return f"{class_or_name.__module__}.{class_or_name.__name__}"


def plain_name(function_or_name: Callable[..., Any] | str) -> str:
    """The name under which plans mention a function; text is taken as it is."""
    return function_or_name if isinstance(function_or_name, str) else function_or_name.__name__


def import_object(name: str) -> Any:
    """The class or function of that dotted name. Raises ImportError or AttributeError when there is none."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def function_by_name(name: str) -> Callable[..., Any]:
    """A function that carries the name of the function ``name`` (dotted), and imports and calls it when called."""

    def imported_when_called(*args: Any, **kwargs: Any) -> Any:
        return import_object(name)(*args, **kwargs)

    imported_when_called.__module__, _, imported_when_called.__name__ = name.rpartition(".")
    imported_when_called.__qualname__ = imported_when_called.__name__
    return imported_when_called
