"""Looking through a checkpoint, a zip file with a pickle and one member per tensor, before torch reads it.

torch takes sizes on trust: a member that unpacks to terabytes, or a tensor that claims to be larger than its member,
ends with lack of memory or with other memory of this process in it. Names are collected without importing anything.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any

# Of the storage classes of torch; all others have elements of one byte.
_BYTES = {"ComplexDouble": 16, "ComplexFloat": 8, "Double": 8, "Long": 8, "Float": 4, "Int": 4}
_BYTES |= {"Half": 2, "BFloat16": 2, "Short": 2, "QInt32": 4}

_ZIP_START = b"PK\x03\x04"
# Of the header in front of a member's content: the lengths of its name and of what follows the name, two bytes each.
_NAME_LENGTHS_AT = 26
_BLOCK = 1 << 24


class UnsafeArchive(Exception):
    """A file that ``torch.save`` does not write; the message says what is wrong with it."""


@dataclass
class Contents:
    """What a checkpoint's pickle refers to."""

    names: set[str] = field(default_factory=set)
    """Dotted names of functions and classes."""
    storages: list[tuple[str, str, int]] = field(default_factory=list)
    """Member, name of the storage class, and number of elements of each tensor's storage."""


class _Inert:
    """Stands for whatever a pickle refers to, takes everything and does nothing."""

    name = ""

    def __init__(self, *_: Any, **__: Any):
        pass

    def __setstate__(self, _: Any) -> None:
        pass

    def __setitem__(self, _: Any, __: Any) -> None:
        pass

    def append(self, _: Any) -> None:
        """As a list would."""

    def extend(self, _: Any) -> None:
        """As a list would."""

    def add(self, _: Any) -> None:
        """As a set would."""


class _Surveyor(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, contents: Contents):
        super().__init__(stream)
        self._contents = contents

    def find_class(self, module: str, name: str) -> Any:
        self._contents.names.add(f"{module}.{name}")
        return type("_Inert", (_Inert,), {"name": f"{module}.{name}"})

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 5 and isinstance(pid[4], int):
            self._contents.storages.append((str(pid[2]), getattr(pid[1], "name", ""), pid[4]))
        return _Inert()


def is_archive(path: str) -> bool:
    """Whether torch and this module both take the file for a zip archive."""
    with open(path, "rb") as stream:
        return stream.read(4) == _ZIP_START and zipfile.is_zipfile(path)


def survey(path: str) -> Contents:
    """What the pickle of a checkpoint in zip format refers to; of a damaged one, as far as it can be read."""
    contents = Contents()
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.rpartition("/")[2] == "data.pkl":
                with contextlib.suppress(Exception):  # torch says what is wrong with it
                    _Surveyor(io.BytesIO(archive.read(member)), contents).load()
    return contents


def check_archive(path: str) -> None:
    """Raise UnsafeArchive unless the members are stored as ``torch.save`` stores them and hold their tensors.

    A zip file that is no checkpoint passes; reading it fails anyway.
    """
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    sizes: dict[str, int] = {}
    for info in infos:
        if info.filename in sizes:
            raise UnsafeArchive(f"its member {info.filename!r} occurs twice")
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise UnsafeArchive(f"its member {info.filename!r} is compressed and unpacks to {info.file_size:,} bytes")
        sizes[info.filename] = info.file_size
    if sum(sizes.values()) > os.path.getsize(path):
        raise UnsafeArchive(f"its members overlap: they unpack to {sum(sizes.values()):,} bytes")
    pickles = [name for name in sizes if name.rpartition("/")[2] == "data.pkl"]
    if len(pickles) != 1:
        return
    folder = pickles[0].rpartition("/")[0]
    for key, kind, elements in survey(path).storages:
        size = sizes.get(f"{folder}/data/{key}")
        if size is None or elements < 0 or elements * _bytes_per_element(kind) > size:
            there = "no data" if size is None else f"{size:,} bytes"
            raise UnsafeArchive(f"it states a tensor of {elements:,} elements ({kind}), but has {there} for it")


def compare_checksums(path: str) -> None:
    """Raise zipfile.BadZipFile when members do not agree with their checksums, at which torch does not look.

    Reads the file once. Nothing is known of files that were saved without checksums (all of them are 0 then).
    """
    from imagecodecs import deflate_crc32  # vector instructions: as fast as the file is read

    with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
        members = archive.infolist()
        broken = []
        for info in members if any(info.CRC for info in members) else ():
            if info.compress_type != zipfile.ZIP_STORED:
                archive.read(info)
                continue
            stream.seek(info.header_offset + _NAME_LENGTHS_AT)
            stream.seek(sum(struct.unpack("<HH", stream.read(4))), os.SEEK_CUR)
            left, checksum = info.file_size, 0
            while left > 0 and (block := stream.read(min(left, _BLOCK))):
                left, checksum = left - len(block), deflate_crc32(block, checksum)
            if left or checksum != info.CRC:
                broken.append(info.filename)
    if broken:
        what = f"{len(broken)} of its {len(members)} parts differ from their checksum"
        raise zipfile.BadZipFile(f"{what}, the first is {broken[0]}")


def _bytes_per_element(kind: str) -> int:
    return _BYTES.get(kind.rpartition(".")[2].removesuffix("Storage"), 1)
