"""Every chunk of a PNG file is compared with its checksum."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import io

from nnunetv2.errors import ImageError
from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
from nnunetv2.imageio.png_chunks import require_intact_png

PICTURE = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)


@pytest.fixture
def path(tmp_path):
    io.imsave(str(tmp_path / "a.png"), PICTURE)
    return tmp_path / "a.png"


def test_a_sound_file_passes_and_so_does_what_stands_behind_its_end(path):
    path.write_bytes(path.read_bytes() + b"something else")
    images, _ = NaturalImage2DIO().read_images([str(path)])
    assert np.array_equal(images[:, 0], np.moveaxis(PICTURE, -1, 0))


def test_every_flipped_bit_behind_the_signature_is_found(path):
    content = path.read_bytes()
    for place in (*range(8, 60), *range(60, len(content), 97), *range(len(content) - 16, len(content))):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ImageError, match=r"a\.png is damaged"):
            require_intact_png(str(path))


def test_every_cut_that_costs_pixels_is_found(path):
    content = path.read_bytes()
    for length in (8, 20, 33, 100, len(content) - 13):
        path.write_bytes(content[:length])
        with pytest.raises(ImageError, match=r"a\.png"):
            NaturalImage2DIO().read_images([str(path)])
    path.write_bytes(content[:-5])
    assert np.array_equal(NaturalImage2DIO().read_images([str(path)])[0][:, 0], np.moveaxis(PICTURE, -1, 0))


def test_another_format_under_this_name_is_left_to_the_library(path):
    io.imsave(str(path.with_suffix(".jpg")), PICTURE, check_contrast=False)
    path.with_suffix(".jpg").rename(path)
    require_intact_png(str(path))
    assert NaturalImage2DIO().read_images([str(path)])[0].shape == (3, 1, 20, 30)
