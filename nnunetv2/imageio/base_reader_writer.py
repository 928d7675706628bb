"""The contract every reader and writer of images fulfils.

A class of your own, dropped into this package and named in dataset.json (``overwrite_image_reader_writer``), needs
``supported_file_endings`` and the three abstract methods, nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np


class BaseReaderWriter(ABC):
    """Reads images and label maps into arrays and writes label maps; without state, made with no arguments."""

    supported_file_endings: ClassVar[Sequence[str]] = []
    """Lower-case file endings with their leading dot, such as ``.nii.gz``."""

    @abstractmethod
    def read_images(self, image_fnames: Sequence[str]) -> tuple[np.ndarray, dict[str, Any]]:
        """Read the files of one case and stack their channels in the given order.

        Returns
        -------
        images : float32 (C, Z, Y, X); 2D images have Z = 1.
        properties : dict with ``spacing``, three numbers in mm in the order Z, Y, X (1 where a format has none; for 2D
            images the first one is larger than the others), and whatever ``write_seg`` needs to restore the geometry.
            Plain data and numpy arrays only, since it is pickled. Keys added later by preprocessing must survive.

        Raises ImageError naming the file when one cannot be read or does not fit the others.
        """

    @abstractmethod
    def read_seg(self, seg_fname: str) -> tuple[np.ndarray, dict[str, Any]]:
        """Read one label map: float32 (1, Z, Y, X) and properties as in ``read_images``."""

    @abstractmethod
    def write_seg(self, seg: np.ndarray, output_fname: str, properties: dict[str, Any]) -> None:
        """Write a label map (Z, Y, X) with the geometry in ``properties``, which came from a read of this class."""

    def image_shape(self, image_fname: str) -> tuple[int, ...]:
        """Shape (C, Z, Y, X) that ``read_images`` gives for this file alone, with the errors it raises.

        Asked for when a reader is chosen. A reader that knows it from the header need not read the voxels.
        """
        return self.read_images((image_fname,))[0].shape

    @staticmethod
    def _check_all_same(input_list: Sequence[Any]) -> bool:
        """Whether all entries (numbers, or sequences of one length) agree, with the tolerance of ``np.allclose``."""
        return len(input_list) == 1 or bool(np.allclose(input_list[0], input_list[1:]))

    @staticmethod
    def _check_all_same_array(input_list: Sequence[np.ndarray]) -> bool:
        """Whether all arrays have one shape and agree, with the tolerance of ``np.allclose``."""
        first = input_list[0]
        return all(first.shape == other.shape and np.allclose(first, other) for other in input_list[1:])
