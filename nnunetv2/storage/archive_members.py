"""Arrays in ``.npz`` files, read so that the checksums of the archive are compared.

numpy takes as many bytes as the header of an array asks for. Where a damaged header asks for fewer than there are, it
never comes to the checksum at the end.
"""

from __future__ import annotations

import math
import zipfile
from typing import IO

import numpy as np

from nnunetv2.records.files import PathLike
from nnunetv2.utilities.available_memory import require_memory

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_BLOCK = 1 << 20


def read_member(path: PathLike, key: str) -> np.ndarray:
    """Array ``key`` of an ``.npz`` file; pickled objects are refused.

    Raises KeyError when there is no such array, MemoryLimitError when it is larger than the memory, and ValueError,
    EOFError, zipfile.BadZipFile, zlib.error or NotImplementedError for a damaged file.
    """
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(key + ".npy")
        # Small files can be made to unpack to any size.
        require_memory(info.file_size, f"the array {key}, unpacked,", "Get the file from a trusted source")
        with archive.open(info) as stream:
            fitting_header(stream, info.file_size)
        with archive.open(info) as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
            read_to_the_end(stream)
    return array


def fitting_header(stream: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether axes are stored in reverse, and type of the array that starts here.

    Raises ValueError unless header and array together take ``size`` bytes.
    """
    version = np.lib.format.read_magic(stream)
    if version not in _HEADERS:
        raise ValueError(f"an array in the unknown format {version}")
    shape, by_columns, dtype = _HEADERS[version](stream)
    needed = stream.tell() + math.prod(shape) * dtype.itemsize
    if needed != size and not dtype.hasobject:
        raise ValueError(f"its header states shape {shape} of {dtype}, {needed:,} bytes, and there are {size:,}")
    return shape, by_columns, dtype


def read_to_the_end(stream: IO[bytes]) -> None:
    """Read on, so that the archive compares its checksum. Raises zipfile.BadZipFile when it differs."""
    while stream.read(_BLOCK):
        pass
