"""Reading a TIFF file as one array, after looking whether all of it is there.

tifffile fills up what is missing: slices whose directory is damaged, and strips beyond the end of the file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import tifffile

from nnunetv2.imageio.complete_files import require_complete
from nnunetv2.imageio.gzip_files import truncated
from nnunetv2.imageio.sizes import refuse_what_does_not_fit


def read_tiff(path: str) -> np.ndarray:
    """The first series of a file. Raises ImageError for a file without its end, MemoryLimitError for one too large.

    What else tifffile raises for a damaged file is left to the caller.
    """
    require_complete(path)
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        refuse_what_does_not_fit(path, int(series.size) * series.dtype.itemsize)
        size = os.path.getsize(path)
        missing = _missing_pieces(series)
        if missing:
            raise truncated(path, f"its header describes {missing:,} more pieces than it has places for")
        for first, length in _pieces(series):
            if first + length > size:
                raise truncated(path, f"voxels are at byte {first:,} to {first + length:,} of {size:,}")
        return file.asarray()


def _missing_pieces(series: Any) -> int:
    """How many strips or tiles have no place in the file; where one follows the other, nobody needs their places."""
    if series.dataoffset is not None:
        return 0
    pages = [page for page in series.pages if page is not None]
    return sum(max(0, math.prod(page.chunked) - len(page.dataoffsets)) for page in pages)


def _pieces(series: Any) -> Iterator[tuple[int, int]]:
    """Place and length of everything that voxels are made of."""
    if series.dataoffset is not None:  # one after the other, uncompressed
        yield series.dataoffset, int(series.size) * series.dtype.itemsize
        return
    for page in series.pages:
        if page is not None:
            yield from zip(page.dataoffsets, page.databytecounts)
