"""Voxels of ordinary ``.nii.gz`` files, decompressed in one call straight into their array.

Two to three times faster than the image libraries, which decompress with zlib in small pieces, and without a second
copy. Only what needs no interpretation is read here: one gzip member, three axes, numbers of this machine's byte
order without scaling. Everything else, damaged files included, is left to the libraries and their messages.
"""

from __future__ import annotations

import logging
import os
import sys
import zlib

import numpy as np

from nnunetv2.imageio.gzip_files import LONGEST, decompressed, length_in_trailer
from nnunetv2.imageio.nifti_header import NIFTI_FLOATS, NIFTI_INTEGERS, is_gzip, read_plain_grid

logger = logging.getLogger(__name__)

_TYPES = NIFTI_INTEGERS | NIFTI_FLOATS
_START = 1 << 16


def read_gzip_voxels(path: str) -> np.ndarray | None:
    """Array (Z, Y, X) in the type of the file; None for a file that is left to the image libraries.

    NaN and infinite voxels become 0, as in SimpleITK, after a warning.
    """
    if not path.lower().endswith(".nii.gz") or not is_gzip(path) or os.path.getsize(path) < 64:
        return None
    with open(path, "rb") as stream:
        compressed = stream.read()
    grid = read_plain_grid(_start_of(compressed))
    if grid is None or grid.datatype not in _TYPES or grid.byte_order != _native_order():
        return None
    dtype = np.dtype(_TYPES[grid.datatype])
    needed = grid.offset + int(np.prod(grid.shape_xyz)) * dtype.itemsize
    if length_in_trailer(compressed) != needed or needed >= LONGEST:
        return None
    plain = decompressed(compressed, needed)
    if plain is None or grid.offset % dtype.itemsize:
        return None
    voxels = plain[grid.offset :].view(dtype).reshape(grid.shape_xyz[::-1])
    return _finite(voxels, path) if dtype.kind == "f" else voxels


def _finite(voxels: np.ndarray, path: str) -> np.ndarray:
    """``voxels`` with 0 in place of NaN and infinity, in place. One such voxel, and only that, shows in the sum."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(voxels.sum(dtype=np.float64)):
            return voxels
    bad = ~np.isfinite(voxels)
    count = int(np.count_nonzero(bad))
    if count:
        first = tuple(int(n) for n in np.unravel_index(int(bad.argmax()), bad.shape))
        logger.warning(
            "%s: %d voxels are NaN or infinite, the first at %s (Z, Y, X); SimpleITK reads them as 0, and so do we. "
            "NibabelIO refuses the image instead",
            path,
            count,
            first,
        )
        voxels[bad] = 0
    return voxels


def _start_of(compressed: bytes) -> bytes:
    """The first decompressed bytes, as many as any header has and more; empty when they cannot be had."""
    try:
        return zlib.decompressobj(wbits=31).decompress(compressed[:_START], 1024)
    except zlib.error:
        return b""


def _native_order() -> str:
    return "<" if sys.byteorder == "little" else ">"
