"""3D TIFF stacks; the spacing lies beside them in a JSON file.

``<case>.json`` holds ``{"spacing": [s0, s1, s2]}`` in mm in array order, for a usual stack Z, Y, X. One such file
serves all channels of a case; label maps have their own in their folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tifffile

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import endings_of
from nnunetv2.imageio.channel_files import ChannelFile, label_map, stack_channels
from nnunetv2.imageio.file_access import reading, writing
from nnunetv2.imageio.label_values import as_stored_labels
from nnunetv2.imageio.tiff_files import read_tiff
from nnunetv2.records.files import read_json, write_json
from nnunetv2.records.layout import CHANNEL_SUFFIX_LENGTH

logger = logging.getLogger(__name__)

_UNKNOWN_SPACING = (1, 1, 1)


class Tiff3DIO(BaseReaderWriter):
    """3D TIFF stacks (Z, Y, X), one channel per file."""

    supported_file_endings = endings_of("Tiff3DIO")

    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter. The spacing file is that of the first channel's case."""
        if not image_fnames:
            return stack_channels([])
        stem = _without_ending(image_fnames[0])
        spacing = _read_spacing(stem[:-CHANNEL_SUFFIX_LENGTH] + ".json", image_fnames[0])
        return stack_channels([_channel_file(path, spacing) for path in image_fnames])

    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """See BaseReaderWriter."""
        spacing = _read_spacing(_without_ending(seg_fname) + ".json", seg_fname)
        return label_map(_channel_file(seg_fname, spacing))

    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """See BaseReaderWriter; writes the spacing file too."""
        spacing_file = _without_ending(output_fname) + ".json"
        labels = as_stored_labels(seg, output_fname)
        # The image comes last: where it is, its spacing is, too.
        write_json(spacing_file, {"spacing": [float(s) for s in properties["spacing"]]})
        with writing(output_fname) as temporary:
            tifffile.imwrite(temporary, labels, compression="zlib", photometric="minisblack")


def _without_ending(path: str) -> str:
    """Path without ``.tif`` or ``.tiff``. Raises ImageError for another ending."""
    stem, ending = os.path.splitext(os.fspath(path))
    if ending.lower() not in Tiff3DIO.supported_file_endings:
        raise ImageError(f"{path} does not end with one of {', '.join(Tiff3DIO.supported_file_endings)}")
    return stem


def _channel_file(path: str, spacing: Sequence[float]) -> ChannelFile:
    _without_ending(path)
    with reading(path) as name:
        stack = read_tiff(name)
    if stack.ndim != 3:
        raise ImageError(
            f"{path} has shape {stack.shape}; Tiff3DIO reads stacks (Z, Y, X) with one channel per file. For 2D "
            'pictures use NaturalImage2DIO ("overwrite_image_reader_writer" in dataset.json)'
        )
    return ChannelFile(path=path, array=stack[None], properties={"spacing": spacing})


def _read_spacing(spacing_file: str, image: str) -> Sequence[float]:
    """Spacing beside an image; ones, with a warning, when there is no such file."""
    if not os.path.isfile(spacing_file):
        logger.warning("%s: no spacing file %s, so the spacing is taken as %s", image, spacing_file, _UNKNOWN_SPACING)
        return _UNKNOWN_SPACING
    content = read_json(spacing_file)
    spacing = content.get("spacing") if isinstance(content, dict) else None
    numbers = isinstance(spacing, list) and all(isinstance(s, (int, float)) for s in spacing)
    if not numbers or len(spacing) != 3 or not all(0 < s < float("inf") for s in spacing):
        raise ImageError(
            f"{spacing_file}: spacing is {spacing!r}; it must be three positive numbers in mm in the order Z, Y, X, "
            'such as {"spacing": [3.0, 0.8, 0.8]}'
        )
    return spacing
