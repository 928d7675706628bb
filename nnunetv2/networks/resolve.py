"""From dotted names in plans to classes, limited to known packages.

Plans are files that people pass around, so a name in them must not import just anything. Names are looked up in torch,
dynamic_network_architectures and this package; ``nnUNet_extModules`` (package names separated by commas) adds others.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping
from typing import Any

from nnunetv2.errors import PlansError

_ALLOWED = ("torch.nn", "dynamic_network_architectures", "nnunetv2")

# The residual encoder lived in a module of its own before v0.4 of the architectures package; old plans name that path.
_MOVED = {
    "dynamic_network_architectures.architectures.residual_unet.ResidualEncoderUNet": (
        "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    ),
}
_ARCHITECTURES = ("unet", "residual_unet", "primus", "abstract_arch")


def allowed_packages() -> tuple[str, ...]:
    """Packages that names in plans may refer to."""
    extra = os.environ.get("nnUNet_extModules", "")
    return (*_ALLOWED, *(name.strip() for name in extra.split(",") if name.strip()))


def _is_allowed(name: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in allowed_packages())


def resolve_dotted_name(name: str, entry: str) -> Any:
    """The object behind ``name``; ``entry`` is the key of the plans it comes from.

    Raises PlansError when the package is not allowed or there is no such object.
    """
    name = _MOVED.get(name, name)
    if not _is_allowed(name):
        raise PlansError(
            f"{entry} is {name!r}, which is outside {', '.join(allowed_packages())}. If you trust it, add its package "
            "to the environment variable nnUNet_extModules"
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise PlansError(f"{entry} is {name!r}, which cannot be imported: {error}") from error
    home = getattr(found, "__module__", None) or ""
    if not _is_allowed(home):  # a name that an allowed module merely imported, such as a function of os
        raise PlansError(f"{entry} is {name!r}, which belongs to {home or 'no module'}; that is not allowed")
    return found


def resolve_network_class(dotted_name: str) -> type:
    """The network class; when the module has moved, the last part of the name is looked up among the architectures."""
    entry = "architecture.network_class_name"
    try:
        return resolve_dotted_name(dotted_name, entry)
    except PlansError as error:
        if not dotted_name.startswith("dynamic_network_architectures."):
            raise
        class_name = dotted_name.rpartition(".")[-1]
        for module in _ARCHITECTURES:
            try:
                candidate = importlib.import_module(f"dynamic_network_architectures.architectures.{module}")
            except (ImportError, RuntimeError):  # RuntimeError: a torchvision that does not fit the torch installed
                continue
            if hasattr(candidate, class_name):
                return getattr(candidate, class_name)
        raise error


def resolve_imports(kwargs: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Copy of ``kwargs`` in which the entries ``names`` (dotted names or None) are replaced by what they refer to."""
    resolved = dict(kwargs)
    for name in names:
        value = resolved.get(name)
        if isinstance(value, str):
            resolved[name] = resolve_dotted_name(value, f"architecture.arch_kwargs.{name}")
    return resolved
