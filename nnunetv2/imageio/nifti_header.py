"""Where the voxels lie in a NIfTI file and what type they have, read from the header without an image library."""

from __future__ import annotations

import gzip
import math
import struct
from typing import BinaryIO, NamedTuple

_GZIP_MAGIC = b"\x1f\x8b"
_LONGEST_HEADER = 540

# datatype code -> bytes per voxel (nifti1.h, NIFTI_TYPE_*)
_BYTES_PER_VOXEL = {
    2: 1, 4: 2, 8: 4, 16: 4, 32: 8, 64: 8, 128: 3, 256: 1, 512: 2, 768: 4, 1024: 8, 1280: 8, 1536: 16, 1792: 16,
    2048: 32, 2304: 4,
}  # fmt: skip
NIFTI_INTEGERS = {2: "u1", 4: "i2", 8: "i4", 256: "i1", 512: "u2", 768: "u4"}
"""Datatype code to numpy type of integer voxels."""

NIFTI_FLOATS = {16: "f4", 64: "f8"}
"""The same of real numbers."""


class PlainGrid(NamedTuple):
    """A volume of three axes whose voxels mean what they are: nothing to scale."""

    shape_xyz: tuple[int, int, int]
    offset: int
    """Bytes before the first voxel."""
    datatype: int
    """NIfTI code."""
    byte_order: str
    """``<`` or ``>``."""


def read_plain_grid(header: bytes) -> PlainGrid | None:
    """The grid in a NIfTI-1 header (the start of an uncompressed file); None for any other or more complicated file."""
    if len(header) < 348 or header[344:348] != b"n+1\0":
        return None
    for order in "<>":
        if struct.unpack_from(f"{order}i", header)[0] != 348:
            continue
        rank, *dim = struct.unpack_from(f"{order}8h", header, 40)
        offset, slope, intercept = struct.unpack_from(f"{order}3f", header, 108)
        scaled = slope != 0 and (slope, intercept) != (1, 0)  # a slope of 0 means no scaling
        if rank != 3 or min(dim[:3]) < 1 or scaled or not 348 <= offset < 1 << 24 or offset != int(offset):
            return None
        datatype = struct.unpack_from(f"{order}h", header, 70)[0]
        return PlainGrid((dim[0], dim[1], dim[2]), int(offset), datatype, order)
    return None


class VoxelBlock(NamedTuple):
    """The voxels of a single-file NIfTI."""

    offset: int
    """Bytes before the first voxel."""
    voxels: int
    bytes_per_voxel: int
    float_type: str | None
    """numpy type with byte order when the voxels are floating-point numbers, else None."""

    @property
    def end(self) -> int:
        """Bytes the uncompressed file must at least have."""
        return self.offset + self.voxels * self.bytes_per_voxel


def is_nifti_name(path: str) -> bool:
    """Whether the name ends with ``.nii`` or ``.nii.gz``."""
    return path.lower().endswith((".nii", ".nii.gz"))


def is_gzip(path: str) -> bool:
    """Whether the file starts like a gzip file, whatever its name."""
    with open(path, "rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def open_plain(path: str) -> BinaryIO:
    """Open a file for reading its uncompressed bytes."""
    return gzip.open(path) if is_gzip(path) else open(path, "rb")


def read_voxel_block(stream: BinaryIO) -> VoxelBlock | None:
    """Read the header at the start of ``stream``; None when it is not one we know. Raises EOFError when it is short."""
    header = stream.read(_LONGEST_HEADER)
    if len(header) < 348:
        raise EOFError(f"{len(header)} of 348 bytes")
    for order in "<>":
        size = struct.unpack_from(f"{order}i", header)[0]
        if size == 348 and header[344:347] == b"n+1":
            dim = struct.unpack_from(f"{order}8h", header, 40)
            datatype = struct.unpack_from(f"{order}h", header, 70)[0]
            offset = struct.unpack_from(f"{order}f", header, 108)[0]
        elif size == 540 and header[4:7] == b"n+2" and len(header) == _LONGEST_HEADER:
            datatype = struct.unpack_from(f"{order}h", header, 12)[0]
            dim = struct.unpack_from(f"{order}8q", header, 16)
            offset = struct.unpack_from(f"{order}q", header, 168)[0]
        else:
            continue
        if not 1 <= dim[0] <= 7 or datatype not in _BYTES_PER_VOXEL or not math.isfinite(offset):
            return None
        return VoxelBlock(
            offset=max(int(offset), size),
            voxels=math.prod(max(int(n), 1) for n in dim[1 : dim[0] + 1]),
            bytes_per_voxel=_BYTES_PER_VOXEL[datatype],
            float_type=order + NIFTI_FLOATS[datatype] if datatype in NIFTI_FLOATS else None,
        )
    return None
