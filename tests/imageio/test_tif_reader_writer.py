from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from nnunetv2.errors import FileContentError, ImageError
from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

STACK = np.random.RandomState(9).randint(0, 99, (9, 14, 11)).astype(np.uint8)


def write(path, spacing_file=None, content=None):
    tifffile.imwrite(path, STACK, photometric="minisblack")
    if spacing_file:
        (path.parent / spacing_file).write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_one_spacing_file_serves_all_channels_of_a_case(tmp_path):
    paths = [write(tmp_path / f"case_{c:04d}.tif", "case.json", {"spacing": [3.0, 0.5, 0.6]}) for c in range(2)]
    images, properties = Tiff3DIO().read_images(paths)
    assert images.shape == (2, 9, 14, 11)
    assert list(properties["spacing"]) == [3.0, 0.5, 0.6]


def test_without_a_spacing_file_the_spacing_is_one_and_a_warning_says_so(tmp_path, caplog):
    _, properties = Tiff3DIO().read_images([write(tmp_path / "case_0000.tif")])
    assert tuple(properties["spacing"]) == (1, 1, 1)
    assert "case.json" in caplog.text


def test_a_written_label_map_is_compressed_and_has_its_own_spacing_file(tmp_path):
    Tiff3DIO().write_seg(STACK, str(tmp_path / "case.TIF"), {"spacing": np.array([3.0, 0.5, 0.6])})
    assert json.loads((tmp_path / "case.json").read_text()) == {"spacing": [3.0, 0.5, 0.6]}
    with tifffile.TiffFile(tmp_path / "case.TIF") as tif:
        assert tif.pages[0].compression.name == "ADOBE_DEFLATE"
    seg, properties = Tiff3DIO().read_seg(str(tmp_path / "case.TIF"))
    assert np.array_equal(seg[0], STACK)
    assert properties["spacing"] == [3.0, 0.5, 0.6]


@pytest.mark.parametrize(
    "spacing", [[1, 2], [1, 2, 0], [1, 2, -3], ["1", 2, 3], 5, None, [1, 2, float("inf")]], ids=str
)
def test_a_spacing_that_makes_no_sense_is_named(spacing, tmp_path):
    path = write(tmp_path / "case_0000.tif", "case.json", {"spacing": spacing})
    with pytest.raises(ImageError, match=r"case\.json: spacing is .*Z, Y, X"):
        Tiff3DIO().read_images([path])


def test_a_spacing_file_that_is_no_json_is_named(tmp_path):
    path = write(tmp_path / "case_0000.tif", "case.json", "{spacing")
    with pytest.raises(FileContentError, match=r"case\.json"):
        Tiff3DIO().read_images([path])


def test_2d_and_colour_files_are_refused(tmp_path):
    for name, shape in (("a_0000.tif", (14, 11)), ("b_0000.tif", (9, 14, 11, 3))):
        tifffile.imwrite(tmp_path / name, np.zeros(shape, np.uint8))
        with pytest.raises(ImageError, match=name):
            Tiff3DIO().read_images([str(tmp_path / name)])


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"\.tif, \.tiff"):
        Tiff3DIO().read_images([str(tmp_path / "a_0000.png")])
