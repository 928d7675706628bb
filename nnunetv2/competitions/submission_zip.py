"""Zip files to hand in: flat, and the same bytes whenever the files are the same."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike, atomic_path

_BLOCK = 2**20
# The first moment a zip file can name; real times would make equal submissions differ.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_flat_zip(target: PathLike, files: Sequence[Path]) -> None:
    """Pack ``files`` without their folders, sorted by name, as ``zip -j`` does; atomically.

    Raises DatasetError when there are none, or two have the same name.
    """
    by_name = {file.name: file for file in files}
    if not files or len(by_name) != len(files):
        raise DatasetError(f"{target} was not written: it needs at least one file, and all names must differ")
    with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(by_name):
            entry = zipfile.ZipInfo(name, _NO_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            entry.file_size = by_name[name].stat().st_size  # lets the archive grow beyond 2 GiB where it must
            with open(by_name[name], "rb") as source, archive.open(entry, "w") as sink:
                while block := source.read(_BLOCK):
                    sink.write(block)


def holds_exactly(archive: PathLike, files: Sequence[Path]) -> bool:
    """Whether the zip file has these files with their present content, and nothing else; False when it is damaged."""
    try:
        with zipfile.ZipFile(archive) as content:
            packed = {entry.filename: entry.CRC for entry in content.infolist()}
    except (OSError, zipfile.BadZipFile):
        return False
    return packed == {file.name: _checksum(file) for file in files}


def _checksum(file: Path) -> int:
    value = 0
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            value = zlib.crc32(block, value)
    return value
