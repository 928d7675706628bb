"""Reading a file to its end to find damage that the image libraries pass over.

A flipped bit in a gzip file shows only in the checksum at its end, which no library looks at. NaN and infinite voxels
of NIfTI files are read as 0 by SimpleITK. One pass over the bytes finds both; meant for checking data sets, since it
takes about as long as reading them.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO, NamedTuple

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.imageio.nifti_header import VoxelBlock, is_gzip, is_nifti_name, open_plain, read_voxel_block

_CHUNK = 1 << 20  # bytes; a multiple of every voxel size that is decoded here


class NotFinite(NamedTuple):
    """Numbers of voxels that are no finite numbers."""

    nan: int = 0
    infinite: int = 0


def scan_to_the_end(path: str) -> NotFinite:
    """Read a gzip or NIfTI file to its end; other files are left alone.

    Returns how many voxels of a floating-point NIfTI are NaN or infinite (zeros for every other file). Raises
    ImageError when the compressed data are damaged.
    """
    try:
        if not is_nifti_name(path) and not is_gzip(path):
            return NotFinite()
        block = _voxel_block(path) if is_nifti_name(path) else None
        with open_plain(path) as stream:
            counts = _count_not_finite(stream, block) if block and block.float_type else NotFinite()
            while stream.read(_CHUNK):
                pass
        return counts
    except (EOFError, OSError, zlib.error) as error:
        raise ImageError(f"{path} is damaged: {error}. Copy or make it again") from error


def _voxel_block(path: str) -> VoxelBlock | None:
    with open_plain(path) as stream:
        return read_voxel_block(stream)


def _count_not_finite(stream: BinaryIO, block: VoxelBlock) -> NotFinite:
    stream.read(block.offset)
    nan = infinite = 0
    left = block.voxels * block.bytes_per_voxel
    while left > 0 and (chunk := stream.read(min(_CHUNK, left))):
        left -= len(chunk)
        values = np.frombuffer(chunk, block.float_type, count=len(chunk) // block.bytes_per_voxel)
        if not np.isfinite(values).all():
            nan += int(np.isnan(values).sum())
            infinite += int(np.isinf(values).sum())
    return NotFinite(nan, infinite)
