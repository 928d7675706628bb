"""Classes and functions that plans refer to by name, so that planning does not import what it only names."""

from __future__ import annotations

import importlib
import inspect
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


class NamedClass:
    """A class attribute that stands for a class by its dotted name and imports it when read.

    Assigning a real class on an instance or in a subclass replaces it.
    """

    def __init__(self, name: str):
        self.name = name

    def __get__(self, instance: object, owner: type) -> type:
        return import_object(self.name)


def dotted_name_of_attribute(instance: object, attribute: str) -> str:
    """Dotted name of the class held by ``attribute``, without importing what a ``NamedClass`` stands for."""
    held = inspect.getattr_static(instance, attribute)
    return held.name if isinstance(held, NamedClass) else dotted_name(getattr(instance, attribute))
