"""Files made to do harm: run code, write elsewhere, fill memory or disk, or take bytes for addresses.

``Attack(canary)`` in a pickle creates the file ``canary`` where it is loaded without restrictions.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.training.test_checkpoint import small_checkpoint


class Attack:
    """Creates ``canary`` when it is unpickled without restrictions, by way of ``function``."""

    def __init__(self, canary: Path, function: str = "system"):
        self.call = {
            "system": (os.system, (f"touch '{canary}'",)),
            "eval": (builtins.eval, (f"open({str(canary)!r}, 'w').close()",)),
            "exec": (builtins.exec, (f"open({str(canary)!r}, 'w').close()",)),
            "mkdir": (os.mkdir, (str(canary),)),
        }[function]

    def __reduce__(self) -> Any:
        return self.call


def named_call(function: str, *arguments: str, protocol: int = 4) -> bytes:
    """A pickle that calls ``module.name`` (dotted names allowed) with texts."""
    module, _, name = function.partition(":")
    if protocol < 4:
        head = b"\x80\x02c" + f"{module}\n{name}\n".encode()
    else:
        head = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(part)]) + part.encode() for part in (module, name)) + b"\x93"
    texts = b"".join(b"X" + struct.pack("<I", len(text.encode())) + text.encode() for text in arguments)
    return head + b"(" + texts + b"tR."


class Crafted:
    """Pickles as ``function(*arguments)`` with ``state``, whatever these are; for descriptions that are made up."""

    def __init__(self, function: Callable, arguments: tuple, state: Any = None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.parts


_RECONSTRUCT = np.ones(1).__reduce__()[0]


def array_of_addresses() -> Any:
    """Eight bytes that a made-up dtype declares to be a field with an object."""
    fields = {"a": (np.dtype("O"), 0)}
    dtype = Crafted(np.dtype, ("V8", False, True), (3, "|", None, ("a",), fields, 8, 1, 0))
    return Crafted(_RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, b"\x41" * 8))


def array_with_subarrays() -> Any:
    """Four bytes that a made-up dtype declares to be a million numbers."""
    dtype = Crafted(np.dtype, ("f4", False, True), (3, "<", (np.dtype("f4"), (10**6,)), None, None, 4, 4, 0))
    return Crafted(_RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (1,), dtype, False, bytes(4)))


def array_larger_than_its_bytes() -> Any:
    return Crafted(_RECONSTRUCT, (np.ndarray, (0,), b"b"), (1, (10**6,), np.dtype("f8"), False, bytes(8)))


def array_of_objects(canary: Path) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = Attack(canary)
    return array


# --- checkpoints ------------------------------------------------------------------------------------------------------


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def write_members(path: Path, content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def checkpoint(path: Path, **changes: Any) -> None:
    torch.save(small_checkpoint() | changes, path)


def checkpoint_with_pickle(path: Path, data: bytes) -> None:
    """A checkpoint whose pickle is ``data``."""
    torch.save(small_checkpoint(), path)
    content = members(path)
    name = next(name for name in content if name.endswith("/data.pkl"))
    write_members(path, content | {name: data})


def checkpoint_with_made_up_size(path: Path) -> None:
    """One float that claims to be 50 million."""
    torch.save({"network_weights": {"w": torch.zeros(50_331_648)[:1].clone()}}, path)
    content = members(path)
    name = next(name for name in content if name.endswith("/data.pkl"))
    number, forged = b"K\x01tq", b"J" + struct.pack("<i", 50_331_648) + b"tq"
    assert content[name].count(number) >= 1
    content[name] = content[name].replace(number, forged, 1)
    write_members(path, content)


def checkpoint_that_unpacks_to_much(path: Path) -> None:
    torch.save({"network_weights": {"w": torch.zeros(20_000_000)}}, path)
    write_members(path, members(path), zipfile.ZIP_DEFLATED)


def checkpoint_with_two_pickles(path: Path, canary: Path) -> None:
    """The same name twice: harmless for who reads the one, not for who reads the other."""
    torch.save(small_checkpoint(), path)
    name = next(name for name in members(path) if name.endswith("/data.pkl"))
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that occurs twice
        archive.writestr(name, pickle.dumps(Attack(canary), protocol=2))


def checkpoint_as_tar(path: Path, canary: Path) -> None:
    """The oldest format of torch, which versions before 2.6 unpickled without restrictions."""
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            data = pickle.dumps(Attack(canary), protocol=2)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def checkpoint_behind_a_tar(path: Path, canary: Path) -> None:
    """A tar file for who looks at the beginning, a zip file for who looks at the end."""
    checkpoint_as_tar(path, canary)
    torch.save(small_checkpoint(), path.with_suffix(".zip"))
    path.write_bytes(path.read_bytes() + path.with_suffix(".zip").read_bytes())
    path.with_suffix(".zip").unlink()


def program(path: Path) -> None:
    """A TorchScript program in the place of weights."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version", "code/__torch__.py"):
            archive.writestr(f"program/{name}", b"\x80\x02}.")


def safetensors_file(path: Path, header: Any, data: bytes = bytes(4), length: int | None = None) -> None:
    """Eight bytes with the length of the header, the header (bytes, or what becomes JSON), the data."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def tensor_entry(begin: int = 0, end: int = 4, shape: tuple[int, ...] = (1,)) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}


def facts(**changes: Any) -> dict[str, str]:
    """The header's facts about a slim checkpoint."""
    content: dict[str, Any] = {
        "format": 1,
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "tiny"},
        "inference_allowed_mirroring_axes": [0],
        "aliases": {},
    }
    return {"nnunetv2": json.dumps(content | changes)}


# --- archives ---------------------------------------------------------------------------------------------------------


def entry(name: str, kind: int = stat.S_IFREG) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def patch_central_directory(path: Path, name: str, offset: int, value: bytes) -> None:
    """Overwrite bytes in the central entry of ``name``; ``offset`` as in the format (24: unpacked size)."""
    content = bytearray(path.read_bytes())
    position = content.index(b"PK\x01\x02")
    while True:
        length = struct.unpack_from("<H", content, position + 28)[0]
        if content[position + 46 : position + 46 + length].decode() == name:
            break
        position = content.index(b"PK\x01\x02", position + 46)
    content[position + offset : position + offset + len(value)] = value
    path.write_bytes(content)
