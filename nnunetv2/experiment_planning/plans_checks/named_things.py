"""Whether the classes and functions that plans name exist, found out without importing them where that is possible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import nnunetv2
from nnunetv2.errors import ClassNotFoundError, PlansError
from nnunetv2.utilities.class_kinds import require_class, require_function
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class

_KINDS = {"class": "class", "function": "def"}
_DEFINITION = {kind: re.compile(rf"^{word} +(\w+)", re.MULTILINE) for kind, word in _KINDS.items()}

# Names in practically all plans; they need no look at torch, whose import takes seconds.
_USUAL = re.compile(
    r"torch\.nn(\.modules\.\w+)?\.((Conv|InstanceNorm|BatchNorm|Dropout)[23]d|LeakyReLU|ReLU)"
    r"|dynamic_network_architectures\.architectures\.(unet|residual_unet)\.(PlainConvUNet|ResidualEncoderUNet)"
)


def defined_names(folder: Sequence[str], what: str = "class") -> set[str]:
    """Names of classes or functions (``what``) at the top of the modules below that folder, read from their text."""
    root = Path(nnunetv2.__path__[0], *folder)
    text = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in root.rglob("*.py"))
    return {name for name in _DEFINITION[what].findall(text) if not name.startswith("_")}


def exists_below(folder: Sequence[str], name: str, what: str = "class") -> bool:
    """Whether plans find a class or function ``name`` in that folder of the package; users may have put files there."""
    if name in defined_names(folder, what):
        return True
    try:  # a name that a module imports, or makes in a way of its own
        package = ".".join(("nnunetv2", *folder))
        found = recursive_find_python_class(str(Path(nnunetv2.__path__[0], *folder)), name, package)
        if what == "class":
            require_class(found, name, "", ())
        else:
            require_function(found, name, "", ".".join(("nnunetv2", folder[0])))
    except (ImportError, ClassNotFoundError):
        return False
    return True


def why_not_importable(dotted_name: str, entry: str) -> str | None:
    """Why the class or function ``dotted_name`` cannot be used, or None when it can."""
    if _USUAL.fullmatch(dotted_name):
        return None
    from nnunetv2.networks.resolve import resolve_dotted_name, resolve_network_class

    try:
        if entry == "network_class_name":
            resolve_network_class(dotted_name)
        else:
            resolve_dotted_name(dotted_name, entry)
    except PlansError as error:
        # The message begins with the entry and the value, which the finding has anyway.
        return str(error).partition(", which ")[2] or str(error)
    return None
