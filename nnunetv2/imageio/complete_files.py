"""Detecting image files that end too early, which SimpleITK fills up with zeros, and tifffile with fewer slices.

NIfTI: the header says how many bytes must follow. A compressed one is decompressed to its end, which also compares its
checksum; no image library does that. TIFF: every directory says where the next one is.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from typing import BinaryIO

from nnunetv2.imageio.gzip_files import require_intact, truncated
from nnunetv2.imageio.nifti_header import is_gzip, is_nifti_name, open_plain, read_voxel_block
from nnunetv2.imageio.sizes import refuse_what_does_not_fit


def require_complete(path: str, must_fit: bool = True) -> None:
    """Raise ImageError when a ``.nii``, ``.nii.gz``, ``.gipl``, ``.tif`` or ``.tiff`` file lacks its end.

    A ``.nii.gz`` must also agree with its checksum. With ``must_fit`` a NIfTI image whose voxels do not fit into memory
    raises MemoryLimitError.
    Other formats are left to their libraries, which notice it themselves.
    """
    lower = path.lower()
    if is_nifti_name(path):
        _require_complete_nifti(path, must_fit)
    elif lower.endswith(".gipl"):
        _require_complete_gipl(path)
    elif lower.endswith((".tif", ".tiff")):
        _require_complete_tiff(path)


def _require_complete_nifti(path: str, must_fit: bool) -> None:
    try:
        with open_plain(path) as stream:
            block = read_voxel_block(stream)
    except (EOFError, OSError, zlib.error) as error:
        raise truncated(path, f"its header ends too early ({error})") from error
    if is_gzip(path):
        require_intact(path, 0 if block is None else block.end, must_fit)
    elif block is not None and os.path.getsize(path) < block.end:
        raise truncated(path, f"{os.path.getsize(path):,} of {block.end:,} bytes are there")
    elif block is not None and must_fit:
        refuse_what_does_not_fit(path, block.end)


def _require_complete_gipl(path: str) -> None:
    # GIPL: 256 bytes of big-endian header, sizes of four axes first, then the pixel type
    bytes_per_voxel = {7: 1, 8: 1, 15: 2, 16: 2, 31: 4, 32: 4, 64: 4, 65: 8}
    with open(path, "rb") as stream:
        header = stream.read(256)
    if len(header) < 256:
        raise truncated(path, f"{len(header)} of 256 bytes of its header are there")
    *sizes, pixel_type = struct.unpack_from(">5H", header)
    if pixel_type in bytes_per_voxel:
        needed = 256 + math.prod(max(n, 1) for n in sizes) * bytes_per_voxel[pixel_type]
        if os.path.getsize(path) < needed:
            raise truncated(path, f"{os.path.getsize(path):,} of {needed:,} bytes are there")


def _require_complete_tiff(path: str) -> None:
    """Follow the chain of image directories (one per slice); each must lie within the file."""
    with open(path, "rb") as stream:
        order = {b"II": "<", b"MM": ">"}.get(stream.read(2))
        if order is None:
            return  # no TIFF; tifffile will say so
        is_big = _number_at(stream, 2, f"{order}H") == 43
        count_format, entry_size, offset_format = ("Q", 20, "Q") if is_big else ("H", 12, "I")
        position, seen = 8 if is_big else 4, set()
        while True:
            directory = _number_at(stream, position, order + offset_format)
            if directory == 0 or directory in seen:
                return
            entries = None if directory is None else _number_at(stream, directory, order + count_format)
            if entries is None:
                raise truncated(path, f"it ends at byte {os.path.getsize(path):,}, before slice {len(seen) + 1}")
            seen.add(directory)
            position = directory + struct.calcsize(count_format) + entry_size * entries


def _number_at(stream: BinaryIO, position: int, number_format: str) -> int | None:
    """The integer at this place of a file; None beyond its end."""
    stream.seek(position)
    raw = stream.read(struct.calcsize(number_format))
    return struct.unpack(number_format, raw)[0] if len(raw) == struct.calcsize(number_format) else None
