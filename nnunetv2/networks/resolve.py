"""From dotted names in plans to classes, limited to known packages.

Plans are files that people pass around, so a name in them must not import just anything. Names are looked up in torch,
dynamic_network_architectures and this package; ``nnUNet_extModules`` (packages and folders of the user) adds others.
What is found must be a kind of network module, or come from a declared place.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from nnunetv2.errors import PlansError
from nnunetv2.utilities.declared_code import (
    VARIABLE,
    declared_folders,
    declared_packages,
    import_declared,
    is_declared,
)

# Below these, functions and other classes are parts of networks, too.
_PARTS_ONLY = ("torch.nn.functional.", "dynamic_network_architectures.")

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
    return (*_ALLOWED, *declared_packages())


def _is_allowed(name: str) -> bool:
    return is_declared(name) or any(name == package or name.startswith(package + ".") for package in _ALLOWED)


def resolve_dotted_name(name: str, entry: str) -> Any:
    """The object behind ``name``; ``entry`` is the key of the plans it comes from.

    Raises PlansError when the package is not allowed or there is no such object.
    """
    if not isinstance(name, str):
        raise PlansError(f"{entry} is {name!r}, which is no dotted name of a class")
    name = _MOVED.get(name, name)
    if not _is_allowed(name):
        raise PlansError(
            f"{entry} is {name!r}, which is outside {', '.join((*allowed_packages(), *declared_folders()))}. If you "
            f"trust it, add its package, or the folder of its file, to the environment variable {VARIABLE}"
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        found = getattr((import_declared if is_declared(name) else importlib.import_module)(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: a name such as torch.nn..x
        raise PlansError(f"{entry} is {name!r}, which cannot be imported: {error}") from error
    home = getattr(found, "__module__", None) or ""
    if not _is_allowed(home):  # a name that an allowed module merely imported, such as a function of os
        raise PlansError(
            f"{entry} is {name!r}, which belongs to {home or 'no module'}; that is not allowed. If you trust it, add "
            f"its package to the environment variable {VARIABLE}"
        )
    if not (is_declared(home) or _is_part_of_networks(found, home)):
        raise PlansError(f"{entry} is {name!r}, which is {found!r}: neither a network nor a part of one")
    return found


def _is_part_of_networks(found: Any, home: str) -> bool:
    """A module class of torch, or a function or class from where there is nothing but parts of networks."""
    from torch import nn

    if isinstance(found, type) and issubclass(found, nn.Module):
        return True
    return f"{home}.".startswith(_PARTS_ONLY) and (isinstance(found, type) or inspect.isroutine(found))


def resolve_network_class(dotted_name: str) -> type:
    """The network class; when the module has moved, the last part of the name is looked up among the architectures."""
    entry = "architecture.network_class_name"
    try:
        return _require_network(resolve_dotted_name(dotted_name, entry), dotted_name, entry)
    except PlansError as error:
        if not (isinstance(dotted_name, str) and dotted_name.startswith("dynamic_network_architectures.")):
            raise
        class_name = dotted_name.rpartition(".")[-1]
        for module in _ARCHITECTURES:
            try:
                candidate = importlib.import_module(f"dynamic_network_architectures.architectures.{module}")
            except (ImportError, RuntimeError):  # RuntimeError: a torchvision that does not fit the torch installed
                continue
            if hasattr(candidate, class_name):
                return _require_network(getattr(candidate, class_name), dotted_name, entry)
        raise error


def _require_network(found: Any, name: str, entry: str) -> type:
    """``found`` if it is a network class, or what a user declared as something that makes networks."""
    from torch import nn

    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    if callable(found) and is_declared(getattr(found, "__module__", None) or ""):
        return found  # type: ignore[return-value]  a function of the user that makes the network
    raise PlansError(f"{entry} is {name!r}, which is {found!r}: no network class (torch.nn.Module)")


def resolve_imports(kwargs: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Copy of ``kwargs`` in which the entries ``names`` (dotted names or None) are replaced by what they refer to."""
    resolved = dict(kwargs)
    for name in names:
        value = resolved.get(name)
        if isinstance(value, str):
            resolved[name] = resolve_dotted_name(value, f"architecture.arch_kwargs.{name}")
    return resolved
