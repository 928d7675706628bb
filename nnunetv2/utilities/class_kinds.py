"""Whether what a name in plans, dataset.json or a checkpoint led to is of the expected kind.

Files that people pass around hold names of classes. A name is looked up in one folder of the package, where modules
import much else besides; so what is found must also be what the entry is for, before anybody calls it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from nnunetv2.errors import ClassNotFoundError
from nnunetv2.utilities.declared_code import VARIABLE, is_declared


def require_class(found: Any, name: Any, entry: str, methods: Sequence[str], base: type | None = None) -> type:
    """``found`` when it is a class with ``methods``, or a subclass of ``base``. ``entry`` says who named it, ``name``.

    Subclasses of ``base`` were written for this package. Others must have been defined in it (people put files into
    its folders) or in a declared package. Raises ClassNotFoundError (a RuntimeError).
    """
    if isinstance(found, type):
        if base is not None and issubclass(found, base):
            return found
        lacking = [method for method in methods if not callable(getattr(found, method, None))]
        if not lacking and _is_known(found.__module__):
            return found
        reason = f"it has no {', '.join(lacking)}" if lacking else _foreign(found.__module__)
    else:
        reason = "it is no class"
    raise ClassNotFoundError(f"{entry} is {name!r}, which is {found!r}: {reason}")


def require_function(found: Any, name: Any, entry: str, package: str) -> Callable:
    """``found`` when it is a function defined below ``package``, or in a declared one.

    Raises ClassNotFoundError (a RuntimeError).
    """
    bare = found
    while isinstance(bare, functools.partial):
        bare = bare.func
    home = getattr(bare, "__module__", None) or ""
    if not callable(bare) or isinstance(bare, type):
        reason = "it is no function"
    elif home == package or home.startswith(package + ".") or is_declared(home):
        return found
    else:
        reason = _foreign(home)
    raise ClassNotFoundError(f"{entry} is {name!r}, which is {found!r}: {reason}")


def _is_known(module: str) -> bool:
    return module.split(".")[0] == "nnunetv2" or is_declared(module)


def _foreign(module: str) -> str:
    return (
        f"it belongs to {module or 'no module'}, which was not made for this. If you trust it, add its package to the "
        f"environment variable {VARIABLE}"
    )
