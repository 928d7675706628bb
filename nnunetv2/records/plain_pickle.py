"""Pickles from elsewhere: plain values, and arrays that are made from checked descriptions; nothing else.

numpy believes what a pickle says about a dtype: fields that hold objects, lengths, flags. Bytes of the file would then
be taken for addresses. So the names that numbers and arrays have in a pickle lead to the stand-ins of this module,
which take numbers, booleans and text only, and of a dtype's state only the byte order.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import IO, Any

import numpy as np

_KINDS = "biufcSU"

# numpy 1 and numpy 2 keep the same functions under different names.
CORES = ("numpy.core", "numpy._core")


class PlainDtype:
    """Stands for ``numpy.dtype`` in a pickle. Raises pickle.UnpicklingError for anything but numbers and text."""

    kinds = _KINDS

    def __init__(self, name: Any, align: bool = False, copy: bool = False):
        dtype = np.dtype(name) if isinstance(name, str) else None
        if dtype is None or dtype.kind not in self.kinds:
            raise pickle.UnpicklingError(
                f"Unsupported content: {type(dtype).__module__}.{type(dtype).__name__} {name!r}"
            )
        self.dtype = dtype

    def __setstate__(self, state: Any) -> None:
        """Take over the byte order: state is (version, order, subarray, names, fields, size, alignment, flags)."""
        if not isinstance(state, tuple) or len(state) < 8 or any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("Unsupported content: a dtype with parts")
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


def _dtype_of(value: Any) -> np.dtype:
    if not isinstance(value, PlainDtype):
        raise pickle.UnpicklingError(f"Unsupported content: {type(value).__name__} in the place of a dtype")
    return value.dtype


def plain_scalar(dtype: Any, raw: Any = b"") -> np.generic:
    """Stands for the function that makes numbers of numpy: the number of that dtype with these bytes."""
    return _array((1,), _dtype_of(dtype), raw, "C")[0]


def _array(shape: Any, dtype: np.dtype, raw: Any, order: Any) -> np.ndarray:
    """A writable copy of the bytes as an array. Raises pickle.UnpicklingError when sizes do not agree."""
    sound = isinstance(shape, tuple) and all(type(length) is int and length >= 0 for length in shape)
    if not sound or not isinstance(raw, (bytes, bytearray)) or len(raw) != math.prod(shape) * dtype.itemsize:
        raise pickle.UnpicklingError(f"Unsupported content: an array of shape {shape!r} whose data do not fit it")
    return np.ndarray(shape, dtype, buffer=raw, order="F" if order == "F" else "C").copy(order="K")


class PlainArray:
    """Stands for ``numpy.ndarray`` in a pickle until ``with_arrays`` puts the array in its place."""

    array: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        """Make the array; state is (version, shape, dtype, Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise pickle.UnpicklingError("Unsupported content: an array of unknown layout")
        _, shape, dtype, by_columns, raw = state
        self.array = _array(shape, _dtype_of(dtype), raw, "F" if by_columns else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> PlainArray:
    if kind is not PlainArray:
        raise pickle.UnpicklingError("Unsupported content: an array of another class")
    return PlainArray()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None) -> np.ndarray:
    if order == "K" and axis_order is not None:
        return _array(shape, _dtype_of(dtype), raw, "C").transpose(axis_order)
    return _array(shape, _dtype_of(dtype), raw, order)


def _bytearray(content: Any = b"", *encoding: str) -> bytearray:
    if not isinstance(content, (bytes, str)):  # a number would ask for that many bytes
        raise pickle.UnpicklingError("Unsupported content: a bytearray without its bytes")
    return bytearray(content, *encoding) if isinstance(content, str) else bytearray(content)


def _no_bytes() -> bytes:
    return b""


#: (module, name) in a pickle to what is used for it
STAND_INS: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy", "dtype"): PlainDtype,
    ("numpy", "ndarray"): PlainArray,
    ("builtins", "bytearray"): _bytearray,
    # how no bytes at all are written in protocols 0 to 2, whose names of modules are those of Python 2
    ("builtins", "bytes"): _no_bytes,
    ("__builtin__", "bytes"): _no_bytes,
}
for _core in CORES:
    STAND_INS[_core + ".multiarray", "scalar"] = plain_scalar
    STAND_INS[_core + ".multiarray", "_reconstruct"] = _reconstruct
    STAND_INS[_core + ".numeric", "_frombuffer"] = _frombuffer


def with_arrays(value: Any, _known: dict[int, Any] | None = None) -> Any:
    """``value`` with the arrays and dtypes in place of their stand-ins, at any depth; lists and dictionaries in place.

    Raises pickle.UnpicklingError for an array without data.
    """
    known = {} if _known is None else _known
    if id(value) in known:  # shared parts are walked through once, however often they occur
        return known[id(value)]
    result = value
    if isinstance(value, PlainArray):
        if value.array is None:
            raise pickle.UnpicklingError("Unsupported content: an array without data")
        result = value.array
    elif isinstance(value, PlainDtype):
        result = value.dtype
    elif isinstance(value, (list, dict)):
        known[id(value)] = value
        for key, entry in list(enumerate(value) if isinstance(value, list) else value.items()):
            value[key] = with_arrays(entry, known)
    elif type(value) is tuple:
        entries = tuple(with_arrays(entry, known) for entry in value)
        result = value if all(a is b for a, b in zip(entries, value)) else entries
    else:
        return value
    known[id(value)] = result
    return result


class _Unpickler(pickle.Unpickler):
    """Plain containers, numbers, strings and numpy arrays of them; nothing else can be constructed."""

    _ALLOWED = frozenset(
        {
            ("collections", "OrderedDict"),
            ("builtins", "complex"),
            ("builtins", "set"),
            ("builtins", "frozenset"),
            ("builtins", "slice"),
            ("_codecs", "encode"),
        }
    )

    def __init__(self, stream: IO[bytes], more: Collection[tuple[str, str]], stand_ins: Mapping[tuple[str, str], Any]):
        super().__init__(stream)
        self._more, self._stand_ins = frozenset(more), {**STAND_INS, **stand_ins}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._stand_ins:
            return self._stand_ins[module, name]
        if (module, name) in self._ALLOWED or (module, name) in self._more:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not plain data")


def load_plain(
    stream: IO[bytes],
    more: Collection[tuple[str, str]] = (),
    stand_ins: Mapping[tuple[str, str], Any] = MappingProxyType({}),
) -> Any:
    """Content of a pickle. ``more``: further (module, name) pairs it may refer to, ``stand_ins``: what to use for some.

    Raises pickle.UnpicklingError for what is not plain, and whatever the bytes of a damaged one happen to mean.
    """
    content = stream.read()
    _require_small_memo(content)
    return with_arrays(_Unpickler(io.BytesIO(content), more, stand_ins).load())


def _require_small_memo(content: bytes) -> None:
    """Raise pickle.UnpicklingError for a remembered entry with a number that no pickle of this length comes to.

    Python's unpickler clears memory for all numbers below it: 64 GiB for ten bytes. Damaged pickles raise ValueError.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and int(argument or 0) > len(content):
            raise pickle.UnpicklingError(f"it numbers an entry {argument:,}, and it has {len(content):,} bytes")
