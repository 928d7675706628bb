"""Packages and folders of users whose classes plans may name: ``nnUNet_extModules``.

Plans are files that people pass around, so a name in them must not import just anything. The variable holds names of
packages and paths of folders with modules, separated by commas or as in ``PATH``.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from types import ModuleType

VARIABLE = "nnUNet_extModules"


def _entries() -> list[str]:
    separators = "," if os.pathsep == ";" else f",{os.pathsep}"
    return [part.strip() for part in re.split(f"[{separators};]", os.environ.get(VARIABLE, "")) if part.strip()]


def declared_packages() -> list[str]:
    """Names of packages in the variable."""
    return [entry for entry in _entries() if os.sep not in entry and "/" not in entry]


def declared_folders() -> list[str]:
    """Existing folders in the variable, as absolute paths."""
    folders = [os.path.abspath(entry) for entry in _entries() if os.sep in entry or "/" in entry]
    return [folder for folder in folders if os.path.isdir(folder)]


def is_declared(name: str) -> bool:
    """Whether a dotted name lies in a declared package, or in a module of a declared folder."""
    top = name.split(".")[0]
    if any(name == package or name.startswith(package + ".") for package in declared_packages()):
        return True
    return top.isidentifier() and any(_has_module(folder, top) for folder in declared_folders())


def _has_module(folder: str, top: str) -> bool:
    return os.path.isfile(os.path.join(folder, f"{top}.py")) or os.path.isdir(os.path.join(folder, top))


def import_declared(module: str) -> ModuleType:
    """Import a module of a declared package or folder. Folders come last, so they cannot hide what is installed."""
    for folder in declared_folders():
        if folder not in sys.path:
            sys.path.append(folder)
    importlib.invalidate_caches()
    return importlib.import_module(module)
