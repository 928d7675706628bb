"""The members of a family of classes or functions, found by file tree, so that a new file is covered as it is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import Any


def modules_below(package: ModuleType) -> list[ModuleType]:
    """The package and all modules below its folder, imported."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [package, *(importlib.import_module(module.name) for module in found)]


def members_below(package: ModuleType, belongs: Callable[[Any], bool]) -> list[Any]:
    """Objects for which ``belongs`` is true, from the modules that define them; private ones are left out."""
    members = []
    for module in modules_below(package):
        for name, member in vars(module).items():
            if getattr(member, "__module__", None) == module.__name__ and not name.startswith("_") and belongs(member):
                members.append(member)
    return sorted(set(members), key=lambda member: member.__name__)
