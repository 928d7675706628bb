"""Detecting image files that end too early, which SimpleITK fills up with zeros without an error.

NIfTI: the header says how many bytes must follow. A gzip file ends with the uncompressed length, so comparing the two
numbers costs two small reads; only when they disagree is the whole file decompressed and counted (files of several
gzip members, or with bytes after the image, are fine).
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib

from nnunetv2.errors import ImageError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 20
_NIFTI2_HEADER = 540

# NIfTI datatype code -> bytes per voxel (nifti1.h, "NIFTI_TYPE_*")
_BYTES_PER_VOXEL = {
    2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 1536: 16, 1792: 16,
    2048: 32, 2304: 4,
}  # fmt: skip


def require_complete(path: str) -> None:
    """Raise ImageError when a ``.nii``, ``.nii.gz`` or ``.gipl`` file is shorter than its header says.

    Other formats are left to their libraries, which notice it themselves.
    """
    lower = path.lower()
    if lower.endswith((".nii", ".nii.gz")):
        _require_complete_nifti(path)
    elif lower.endswith(".gipl"):
        _require_complete_gipl(path)


def require_sound_gzip(path: str) -> None:
    """Decompress a gzip file to its end and compare the checksum. Raises ImageError when it is damaged."""
    try:
        with gzip.open(path) as stream:
            while stream.read(_CHUNK):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise ImageError(f"{path} is damaged: {error}. Copy or make it again") from error


def _require_complete_nifti(path: str) -> None:
    compressed = _is_gzip(path)
    try:
        with gzip.open(path) if compressed else open(path, "rb") as stream:
            needed = _nifti_length(stream.read(_NIFTI2_HEADER))
    except (EOFError, OSError, zlib.error) as error:
        raise _truncated(path, f"its header ends too early ({error})") from error
    if needed is None:
        return
    if not compressed:
        found = os.path.getsize(path)
    elif _length_in_trailer(path) == needed % 2**32:
        return
    else:
        found = _count_decompressed(path, needed)
    if found < needed:
        raise _truncated(path, f"{found:,} of {needed:,} bytes are there")


def _is_gzip(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def _nifti_length(header: bytes) -> int | None:
    """Bytes of header and voxels that a single-file NIfTI must have; None when the header is not one we know."""
    if len(header) < 348:
        raise EOFError(f"{len(header)} of 348 bytes")
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0]
        if size == 348 and header[344:347] == b"n+1":
            dim = struct.unpack_from(f"{order}8h", header, 40)
            datatype = struct.unpack_from(f"{order}h", header, 70)[0]
            offset = struct.unpack_from(f"{order}f", header, 108)[0]
        elif size == 540 and header[4:7] == b"n+2" and len(header) == _NIFTI2_HEADER:
            datatype = struct.unpack_from(f"{order}h", header, 12)[0]
            dim = struct.unpack_from(f"{order}8q", header, 16)
            offset = struct.unpack_from(f"{order}q", header, 168)[0]
        else:
            continue
        if not 1 <= dim[0] <= 7 or datatype not in _BYTES_PER_VOXEL or not math.isfinite(offset):
            return None
        voxels = math.prod(max(int(n), 1) for n in dim[1 : dim[0] + 1])
        return max(int(offset), size) + voxels * _BYTES_PER_VOXEL[datatype]
    return None


def _length_in_trailer(path: str) -> int:
    """Uncompressed length modulo 2**32 as stored in the last four bytes of a gzip file (RFC 1952, ISIZE)."""
    with open(path, "rb") as stream:
        stream.seek(-4, os.SEEK_END)
        return struct.unpack("<I", stream.read(4))[0]


def _count_decompressed(path: str, enough: int) -> int:
    """How many bytes can be decompressed; stops at ``enough``, so garbage behind the image does no harm."""
    count = 0
    try:
        with gzip.open(path) as stream:
            while count < enough:
                chunk = stream.read(min(_CHUNK, enough - count))
                if not chunk:
                    break
                count += len(chunk)
    except (EOFError, OSError, zlib.error):
        pass  # the count says how far it was readable
    return count


def _require_complete_gipl(path: str) -> None:
    # GIPL: 256 bytes of big-endian header, sizes of four axes first, then the pixel type
    bytes_per_voxel = {7: 1, 8: 1, 15: 2, 16: 2, 31: 4, 32: 4, 64: 4, 65: 8}
    with open(path, "rb") as stream:
        header = stream.read(256)
    if len(header) < 256:
        raise _truncated(path, f"{len(header)} of 256 bytes of its header are there")
    *sizes, pixel_type = struct.unpack_from(">5H", header)
    if pixel_type in bytes_per_voxel:
        needed = 256 + math.prod(max(n, 1) for n in sizes) * bytes_per_voxel[pixel_type]
        if os.path.getsize(path) < needed:
            raise _truncated(path, f"{os.path.getsize(path):,} of {needed:,} bytes are there")


def _truncated(path: str, what: str) -> ImageError:
    return ImageError(f"{path} is truncated: {what}. Copy or make the file again")
