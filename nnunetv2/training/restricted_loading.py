"""``torch.load`` for files from elsewhere: tensors, plain values and numpy numbers; nothing else can be constructed."""

from __future__ import annotations

import pickle
import pickletools
import re
import threading
import types
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

# numpy 1 and numpy 2 store a number under different names of the same function.
SCALAR_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")

# What torch itself needs to restore tensors, for versions of torch whose own allow-list cannot be extended.
_TORCH_NAMES = frozenset(
    {
        ("collections", "OrderedDict"),
        ("_codecs", "encode"),
        ("torch", "device"),
        ("torch", "Size"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
    }
)

# How torch, and the unpickler below, begin the sentence about an object that is not allowed.
_REFUSAL = re.compile(
    r"(Unsupported (global|content)|Can only (build|create)|Trying to (load unsupported|call)).*?(?= was not|\n|$)"
)

# The allow-list of torch is one per process.
_lock = threading.Lock()


def _named(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """A function that the allow-list of torch, which goes by module and name, takes for ``module.name``."""

    def forward(*args: Any) -> Any:
        return function(*args)

    forward.__module__, forward.__qualname__ = module, name
    return forward


def allowed_numpy_objects() -> list[Any]:
    """What a float32 or float64 number of numpy is made of in a pickle.

    The classes of the two dtypes are not named there, they are looked at when the state of a dtype is restored.
    """
    make_scalar = np.float32(0).__reduce__()[0]
    spellings = [_named(make_scalar, module, "scalar") for module in SCALAR_MODULES]
    return [*spellings, np.dtype, type(np.dtype("float32")), type(np.dtype("float64"))]


def load_restricted(path: str) -> Any:
    """Content of a file written by ``torch.save``, tensors on the CPU.

    Raises pickle.UnpicklingError for content that is not allowed, and other exceptions for damaged files.
    """
    safe_globals = getattr(torch.serialization, "safe_globals", None)
    if safe_globals is None:
        return load_with_own_unpickler(path)
    with _lock, safe_globals(allowed_numpy_objects()):
        return torch.load(path, map_location="cpu", weights_only=True)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TORCH_NAMES or (module == "torch" and name.endswith("Storage") and name.isalpha()):
            return super().find_class(module, name)
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if module in SCALAR_MODULES and name == "scalar":
            return np.float32(0).__reduce__()[0]
        raise pickle.UnpicklingError(f"Unsupported global: {module}.{name}")


def load_with_own_unpickler(path: str) -> Any:
    """The same for torch before 2.5. Only the zip format of torch 1.6 and later is read, and no TorchScript."""
    with zipfile.ZipFile(path) as archive:
        if any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist()):
            raise pickle.UnpicklingError("Unsupported content: a TorchScript program")
    restricted = types.ModuleType("restricted")  # torch asks for the name of the pickle module it is given
    restricted.Unpickler, restricted.UnpicklingError = _Unpickler, pickle.UnpicklingError
    restricted.load = restricted.loads = _no_other_door
    return torch.load(path, map_location="cpu", pickle_module=restricted, weights_only=False)


def _no_other_door(*_: Any, **__: Any) -> Any:
    raise pickle.UnpicklingError("Unsupported content: an old file format")


def globals_of(path: str) -> list[str]:
    """Dotted names of all functions and classes a checkpoint in zip format refers to, sorted; nothing is imported."""
    names = set()
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        for member in pickles:
            texts: list[str] = []
            for opcode, argument, _ in pickletools.genops(archive.read(member)):
                if opcode.name == "GLOBAL":
                    names.add(argument.replace(" ", "."))
                elif opcode.name == "STACK_GLOBAL":
                    names.add(".".join(texts[-2:]))
                elif isinstance(argument, str):
                    texts.append(argument)
    return sorted(names)


def refused_content(path: str, error: pickle.UnpicklingError) -> str | None:
    """What in the file was not accepted, in one line; None when the file is damaged instead."""
    detail = _REFUSAL.search(str(error))
    complete = zipfile.is_zipfile(path)
    if detail is None and not complete:
        return None
    foreign = _foreign_globals(path) if complete else []
    if foreign:
        return "it refers to " + ", ".join(foreign)
    if detail is None:
        return str(error).split("\n")[0]
    kind = re.search(r"<class '(.+?)'>", detail[0])
    return f"it holds {kind[1]}" if kind else detail[0]


def _foreign_globals(path: str) -> list[str]:
    known = {f"{module}.{name}" for module, name in _TORCH_NAMES} | {f"{m}.scalar" for m in SCALAR_MODULES}
    known.add("numpy.dtype")
    return [n for n in globals_of(path) if n not in known and not (n.startswith("torch.") and "Storage" in n)]
