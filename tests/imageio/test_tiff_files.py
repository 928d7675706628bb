"""TIFF files lack nothing that tifffile would make up."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from nnunetv2.errors import ImageError
from nnunetv2.imageio.tiff_files import read_tiff

STACK = np.random.default_rng(0).integers(0, 60000, (6, 40, 30), dtype=np.uint16)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "rowsperstrip": 7},
        {"rowsperstrip": 9, "metadata": None},
        {"tile": (16, 16), "bigtiff": True},
        {"imagej": True},
    ],
    ids=str,
)
def test_a_stack_is_read_whole_or_not_at_all(options, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", **options)
    assert np.array_equal(read_tiff(str(path)), STACK)
    content = path.read_bytes()
    for length in (len(content) - 1, len(content) // 2):
        path.write_bytes(content[:length])
        try:
            found = read_tiff(str(path))
        except ImageError as error:
            found, message = None, str(error)
        # A byte at the end may belong to no voxel.
        assert "a.tif is truncated" in message if found is None else np.array_equal(found, STACK)


def with_entry(path, tag: int, value: int) -> None:
    """Change a number of the only directory of a file."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[tag].overwrite(value)


def test_a_picture_with_fewer_strips_than_its_height_asks_for_is_refused_before_memory_is_taken(tmp_path):
    """Found by fuzzing: 583 bytes that state 456,223,505 rows, 17 to a strip, and have one strip."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, STACK[0] > 30000, photometric="minisblack", compression="zlib", rowsperstrip=40, metadata=None
    )
    assert np.array_equal(read_tiff(str(path)), STACK[0] > 30000)
    with_entry(path, 257, 456_223_505)
    with pytest.raises(ImageError, match=r"a\.tif is truncated: its header describes 11,405,587 more pieces"):
        read_tiff(str(path))
