"""``torch.load`` for files from elsewhere: tensors, plain values and numpy numbers; nothing else can be constructed."""

from __future__ import annotations

import pickle
import re
import threading
import types
import zipfile
from collections.abc import Callable
from typing import Any

import torch

from nnunetv2.records.plain_pickle import CORES, PlainDtype, plain_scalar
from nnunetv2.training.checkpoint_archive import UnsafeArchive, check_archive, is_archive, survey

# numpy 1 and numpy 2 store a number under different names of the same function.
SCALAR_MODULES = tuple(f"{core}.multiarray" for core in CORES)

# weights_only=True of torch before 2.6 could be got round (CVE-2025-32434).
_TRUSTED_TORCH = (2, 6)

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


class _FloatDtype(PlainDtype):
    """Of the numbers that nnU-Net stores. Goes by the name of what it stands for."""

    kinds = "f"

    def __init__(self, name: Any, align: bool = False, copy: bool = False):
        super().__init__(name, align, copy)
        if self.dtype.itemsize < 4:
            raise pickle.UnpicklingError(f"Unsupported content: numpy {self.dtype}")


_FloatDtype.__module__, _FloatDtype.__qualname__, _FloatDtype.__name__ = "numpy", "dtype", "dtype"


def _named(function: Callable[..., Any], module: str, name: str) -> Callable[..., Any]:
    """A function that the allow-list of torch, which goes by module and name, takes for ``module.name``."""

    def forward(*args: Any) -> Any:
        return function(*args)

    forward.__module__, forward.__qualname__, forward.__name__ = module, name, name
    return forward


def allowed_numpy_objects() -> list[Any]:
    """What a float32 or float64 number of numpy is made of in a pickle, as stand-ins that check what they get."""
    return [*(_named(plain_scalar, module, "scalar") for module in SCALAR_MODULES), _FloatDtype]


def load_restricted(path: str) -> Any:
    """Content of a file written by ``torch.save``, tensors on the CPU.

    Raises UnsafeArchive for a file with made-up sizes, pickle.UnpicklingError for content that is not allowed, and
    other exceptions for damaged files.
    """
    if is_archive(path):
        check_archive(path)
    if _torch_version() < _TRUSTED_TORCH:
        return load_with_own_unpickler(path)
    with _lock, torch.serialization.safe_globals(allowed_numpy_objects()):
        return torch.load(path, map_location="cpu", weights_only=True)


def _torch_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", torch.__version__)[:2])


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _TORCH_NAMES or (module == "torch" and name.endswith("Storage") and name.isalpha()):
            return super().find_class(module, name)
        if (module, name) == ("numpy", "dtype"):
            return _FloatDtype
        if module in SCALAR_MODULES and name == "scalar":
            return plain_scalar
        raise pickle.UnpicklingError(f"Unsupported global: {module}.{name}")


def load_with_own_unpickler(path: str) -> Any:
    """The same for torch before 2.6. Only the zip format of torch 1.6 and later is read, and no TorchScript."""
    if zipfile.is_zipfile(path) and not is_archive(path):
        raise UnsafeArchive("something else stands before the archive in it")
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
    return sorted(survey(path).names)


def refused_content(path: str, error: pickle.UnpicklingError) -> str | None:
    """What in the file was not accepted, in one line; None when the file is damaged instead."""
    detail = _REFUSAL.search(str(error))
    complete = zipfile.is_zipfile(path)
    if detail is None and not complete:
        return None
    foreign = foreign_globals(path) if complete else []
    if foreign:
        return "it refers to " + ", ".join(foreign)
    if detail is None:
        return str(error).split("\n")[0]
    kind = re.search(r"<class '(.+?)'>", detail[0])
    return f"it holds {kind[1]}" if kind else detail[0]


def foreign_globals(path: str) -> list[str]:
    """Those of them that are refused; torch may refuse more, such as a class used in another way than it is meant."""
    known = {f"{module}.{name}" for module, name in _TORCH_NAMES} | {f"{m}.scalar" for m in SCALAR_MODULES}
    known.add("numpy.dtype")
    return [n for n in globals_of(path) if n not in known and not (n.startswith("torch.") and n.endswith("Storage"))]
