"""Voxels of ordinary ``.nii.gz`` files, decompressed in one call straight into their array.

Two to three times faster than the image libraries, which decompress with zlib in small pieces, and without a second
copy. Only what needs no interpretation is read here: one gzip member, three axes, integers of this machine's byte
order without scaling. Everything else, damaged files included, is left to the libraries and their messages.
"""

from __future__ import annotations

import os
import struct
import sys
import zlib

import numpy as np

from nnunetv2.imageio.nifti_header import NIFTI_INTEGERS, is_gzip, read_plain_grid

_START = 1 << 16
_LONGEST = 1 << 31
"""Bytes; the length at the end of a gzip file counts modulo 4 GiB, and some decoders stop at 2 GiB."""


def read_gzip_voxels(path: str) -> np.ndarray | None:
    """Array (Z, Y, X) in the type of the file; None for a file that is left to the image libraries."""
    if not path.lower().endswith(".nii.gz") or not is_gzip(path) or os.path.getsize(path) < 64:
        return None
    with open(path, "rb") as stream:
        compressed = stream.read()
    grid = read_plain_grid(_start_of(compressed))
    if grid is None or grid.datatype not in NIFTI_INTEGERS or grid.byte_order != _native_order():
        return None
    dtype = np.dtype(NIFTI_INTEGERS[grid.datatype])
    needed = grid.offset + int(np.prod(grid.shape_xyz)) * dtype.itemsize
    if struct.unpack("<I", compressed[-4:])[0] != needed or needed >= _LONGEST:
        return None
    plain = _decompressed(compressed, needed)
    if plain is None or grid.offset % dtype.itemsize:
        return None
    return plain[grid.offset :].view(dtype).reshape(grid.shape_xyz[::-1])


def _decompressed(compressed: bytes, size: int) -> np.ndarray | None:
    """All ``size`` bytes, their checksum verified; None when they are not there, or not intact."""
    from imagecodecs import DeflateError, gzip_decode

    plain = np.empty(size, dtype=np.uint8)
    try:
        decoded = gzip_decode(compressed, out=plain)
    except (DeflateError, ValueError):
        return None
    return plain if len(decoded) == size else None


def _start_of(compressed: bytes) -> bytes:
    """The first decompressed bytes, as many as any header has and more; empty when they cannot be had."""
    try:
        return zlib.decompressobj(wbits=31).decompress(compressed[:_START], 1024)
    except zlib.error:
        return b""


def _native_order() -> str:
    return "<" if sys.byteorder == "little" else ">"
