from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from nnunetv2.errors import ImageError
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

RNG = np.random.RandomState(8)


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_are_channels(channels, tmp_path):
    picture = RNG.randint(0, 256, (14, 11, channels)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    images, properties = NaturalImage2DIO().read_images([str(tmp_path / "a.png")])
    assert np.array_equal(images, np.moveaxis(picture, -1, 0)[:, None])
    assert properties == {"spacing": (999, 1, 1)}


def test_a_16_bit_png_keeps_its_values(tmp_path):
    picture = RNG.randint(0, 65536, (14, 11)).astype(np.uint16)
    Image.fromarray(picture).save(tmp_path / "a.png")
    images, _ = NaturalImage2DIO().read_images([str(tmp_path / "a.png")])
    assert np.array_equal(images[0, 0], picture)


def test_colour_and_grey_files_of_one_case_can_be_combined(tmp_path):
    Image.fromarray(RNG.randint(0, 256, (14, 11, 3)).astype(np.uint8)).save(tmp_path / "a_0000.png")
    Image.fromarray(RNG.randint(0, 256, (14, 11)).astype(np.uint8)).save(tmp_path / "a_0001.png")
    images, _ = NaturalImage2DIO().read_images([str(tmp_path / "a_0000.png"), str(tmp_path / "a_0001.png")])
    assert images.shape == (4, 1, 14, 11)


@pytest.mark.parametrize("mode", ["P", "RGB"])
def test_colour_and_palette_label_maps_are_refused(mode, tmp_path):
    labels = Image.fromarray(RNG.randint(0, 3, (14, 11)).astype(np.uint8))
    if mode == "P":
        labels = labels.convert("P")
        labels.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0] + [0] * 759)
    else:
        labels = labels.convert("RGB")
    labels.save(tmp_path / "seg.png")
    with pytest.raises(ImageError, match=r"seg\.png has 3 channels.*grey-scale"):
        NaturalImage2DIO().read_seg(str(tmp_path / "seg.png"))


@pytest.mark.parametrize("ending", [".jpg", ".jpeg"])
def test_jpeg_is_an_image_but_no_label_map(ending, tmp_path):
    path = tmp_path / f"a{ending}"
    Image.fromarray(np.full((14, 11, 3), 100, np.uint8)).save(path)
    images, properties = NaturalImage2DIO().read_images([str(path)])
    assert images.shape == (3, 1, 14, 11)
    assert np.abs(images - 100).max() <= 2
    with pytest.raises(ImageError, match="Store labels as PNG"):
        NaturalImage2DIO().read_seg(str(path))
    with pytest.raises(ImageError, match=r"Use \.png"):
        NaturalImage2DIO().write_seg(np.ones((1, 14, 11)), str(tmp_path / f"o{ending}"), properties)


@pytest.mark.parametrize(("shape", "expected"), [((3, 5, 6), (3, 1, 5, 6)), ((7, 5, 3), (3, 1, 7, 5)), ((4, 5, 6), (4, 1, 5, 6))])  # fmt: skip # noqa: E501
def test_a_stack_with_an_axis_of_3_or_4_is_taken_for_colours(shape, expected, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", RNG.rand(*shape).astype(np.float32), photometric="minisblack")
    images, _ = NaturalImage2DIO().read_images([str(tmp_path / "a.tif")])
    assert images.shape == expected


def test_a_stack_of_more_slices_is_refused_with_the_reader_for_it(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((7, 5, 6), np.float32), photometric="minisblack")
    with pytest.raises(ImageError, match=r"a\.tif has shape \(7, 5, 6\).*Tiff3DIO"):
        NaturalImage2DIO().read_images([str(tmp_path / "a.tif")])


def test_a_3d_label_map_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"\(1, Y, X\)"):
        NaturalImage2DIO().write_seg(np.ones((2, 14, 11)), str(tmp_path / "o.png"), {})
