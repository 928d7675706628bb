"""Photographs and other 2D pictures (PNG, BMP, TIFF, JPEG): grey, RGB or RGBA, without spacing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from skimage import io

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import endings_of
from nnunetv2.imageio.channel_files import ChannelFile, label_map, stack_channels
from nnunetv2.imageio.file_access import reading, writing
from nnunetv2.imageio.label_values import as_stored_labels
from nnunetv2.imageio.png_chunks import require_intact_png

# Pixels count as 1 x 1 mm; the made-up first axis is so coarse that planning never treats it as a spatial one.
_SPACING = (999, 1, 1)
_COLOUR_CHANNELS = (3, 4)
_JPEG_ENDINGS = (".jpg", ".jpeg")
_JPEG_MAGIC = b"\xff\xd8\xff"


class NaturalImage2DIO(BaseReaderWriter):
    """2D pictures as (C, 1, Y, X) with C of 1, 3 or 4 per file. JPEG is read as image, never used for labels."""

    supported_file_endings = endings_of("NaturalImage2DIO")

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter. A picture without colour is one channel, RGB three, RGBA four."""
        return stack_channels([_channel_file(path) for path in image_fnames])

    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter. Raises ImageError for colour and palette pictures and for JPEG."""
        file = _channel_file(seg_fname)
        if _is_jpeg(seg_fname):
            raise ImageError(f"{seg_fname} is a JPEG, which does not keep label values exactly. Store labels as PNG")
        return label_map(file)

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter; ``seg`` is (1, Y, X)."""
        if str(output_fname).lower().endswith(_JPEG_ENDINGS):
            raise ImageError(f"{output_fname} was not written: JPEG does not keep label values exactly. Use .png")
        labels = as_stored_labels(seg, output_fname)
        if labels.shape[0] != 1:
            raise ImageError(f"{output_fname} was not written: a 2D label map is (1, Y, X), this one {labels.shape}")
        with writing(output_fname) as temporary:
            io.imsave(str(temporary), labels[0], check_contrast=False)


def _channel_file(path: str) -> ChannelFile:
    with reading(path) as name:
        picture = _read(name)
    if picture.ndim == 2:
        channels = picture[None]
    elif picture.ndim == 3 and picture.shape[-1] in _COLOUR_CHANNELS:
        channels = np.moveaxis(picture, -1, 0)
    elif picture.ndim == 3 and picture.shape[0] in _COLOUR_CHANNELS:
        channels = picture  # a TIFF with separate colour planes; also a stack of 3 or 4 slices, see the registry
    else:
        raise ImageError(
            f"{path} has shape {picture.shape}; a 2D picture is (Y, X), or (Y, X, 3 or 4) with colours. For stacks of "
            'slices use Tiff3DIO ("overwrite_image_reader_writer" in dataset.json)'
        )
    return ChannelFile(path=path, array=channels[:, None], properties={"spacing": _SPACING})


def _read(path: str) -> np.ndarray:
    if path.lower().endswith((".tif", ".tiff")):
        from nnunetv2.imageio.tiff_files import read_tiff  # its library is only needed here, and most pictures are PNG

        return read_tiff(path)
    require_intact_png(path)
    return io.imread(path)


def _is_jpeg(path: str) -> bool:
    with open(path, "rb") as stream:
        return stream.read(len(_JPEG_MAGIC)) == _JPEG_MAGIC
