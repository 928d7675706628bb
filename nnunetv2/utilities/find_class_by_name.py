"""Finding a class in a file tree by its name: the door through which plans, checkpoints and users' files reach classes.

Dropping a file into the right folder of the package (or a folder named by ``nnUNet_extTrainer``) is enough for its
classes to be found, so the search goes by files, not by what is imported already.
"""

from __future__ import annotations

import importlib
import logging
import os
import pkgutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

logger = logging.getLogger(__name__)

# Cases are prepared in threads that all look up classes, but neither sys.path nor the caches of importlib stand that.
_SEARCHING = threading.RLock()


def recursive_find_python_class(
    folder: str,
    class_name: str,
    current_module: str,
    base_folder: str | None = None,
    verbose: bool = False,
    cleanup_imports_from_base_folder: bool = False,
) -> Any:
    """Attribute ``class_name`` of the first module below ``folder`` that has it, or None.

    Parameters
    ----------
    folder : folder to search; modules first in alphabetical order, then sub-packages, depth first.
    class_name : name of the class or function; a name that a module merely imports counts too.
    current_module : dotted name of ``folder`` as a package; empty for a folder that is no package.
    base_folder : folder put on ``sys.path`` during the search (default ``folder``).
    cleanup_imports_from_base_folder : forget modules imported from there afterwards, so that two folders may hold
        packages of the same name.

    A module that cannot be imported (a missing optional dependency, a syntax error) does not end the search; its error
    is raised only when no other module has the name.
    """
    if not isinstance(class_name, str):  # files may hold anything in the place of a name
        return None
    base = os.path.abspath(base_folder or folder)
    errors: list[tuple[str, Exception]] = []
    with _SEARCHING, _on_path(base, cleanup_imports_from_base_folder):
        found = _search(os.path.abspath(folder), class_name, current_module, errors, verbose)
    if found is None and errors:
        module, error = errors[0]
        raise ImportError(
            f"{class_name} was not found below {folder}, but {len(errors)} module(s) there could not be imported. "
            f"First: {module}: {type(error).__name__}: {error}"
        ) from error
    return found


def _search(folder: str, name: str, package: str, errors: list[tuple[str, Exception]], verbose: bool) -> Any:
    entries = list(pkgutil.iter_modules([folder]))
    for _, module_name, is_package in entries:
        if is_package:
            continue
        dotted = f"{package}.{module_name}" if package else module_name
        if verbose:
            logger.info("looking for %s in %s", name, dotted)
        try:
            module = importlib.import_module(dotted)
        except Exception as error:
            errors.append((dotted, error))
            continue
        if hasattr(module, name):
            return getattr(module, name)
    for _, module_name, is_package in entries:
        if is_package:
            dotted = f"{package}.{module_name}" if package else module_name
            found = _search(os.path.join(folder, module_name), name, dotted, errors, verbose)
            if found is not None:
                return found
    return None


@contextmanager
def _on_path(base: str, forget: bool) -> Iterator[None]:
    """Put ``base`` on the import path for the duration; optionally forget what was imported from it."""
    known = set(sys.modules)
    sys.path.insert(0, base)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(base)
        if forget:
            for name in set(sys.modules) - known:
                origin = getattr(sys.modules[name], "__file__", None) or ""
                if os.path.abspath(origin).startswith(base + os.sep):
                    del sys.modules[name]
