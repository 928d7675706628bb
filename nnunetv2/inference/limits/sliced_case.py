"""Cases whose images do not fit into the memory limit: read, preprocessed and padded where a tile needs them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nnunetv2.errors import UsageError
from nnunetv2.geometry.tiles import Slicer, padding_to_tile
from nnunetv2.imageio.finite_voxels import NotFiniteError
from nnunetv2.preprocessing.preprocessors.sliced_preprocessing import BLOCK, SlicedPreprocessing, refuse_cascade
from nnunetv2.records.temporary import temporary_prefix
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager


class SlicedCase:
    """Network input (C, Z, Y, X) of which only the slices that tiles look at are held.

    Tiles have to come in the order of their first slice; looking back works, at the price of making slices again.
    """

    def __init__(self, preprocessed: SlicedPreprocessing, folder: tempfile.TemporaryDirectory | None = None):
        self._preprocessed = preprocessed
        self._folder = folder  # of unpacked files; gone with this object
        self._blocks: dict[int, torch.Tensor] = {}
        self._offset = [0, 0, 0]
        self._padded = list(preprocessed.shape[1:])
        self.properties = preprocessed.properties

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, Z, Y, X) without padding."""
        return self._preprocessed.shape

    def padded(self, patch_size: Sequence[int]) -> tuple[SlicedCase, Slicer]:
        """This case with index tuples counted in the volume padded to the patch, and where the volume lies in it."""
        padding = padding_to_tile(self.shape[1:], patch_size)
        self._offset = [before for before, _ in padding]
        self._padded = [before + n + after for n, (before, after) in zip(self.shape[1:], padding)]
        inner = (slice(before, before + n) for n, before in zip(self.shape[1:], self._offset))
        return self, (slice(None), *inner)

    @property
    def padded_size(self) -> tuple[int, ...]:
        """(Z, Y, X) with padding."""
        return tuple(self._padded)

    def __getitem__(self, slicer: Slicer) -> torch.Tensor:
        """Tile (C, *patch); zeros outside the volume."""
        ranges = [slice(s, s + 1) if isinstance(s, int) else s for s in slicer[1:]]
        tile = torch.zeros((self.shape[0], *(s.stop - s.start for s in ranges)))
        lows = [max(0, s.start - offset) for s, offset in zip(ranges, self._offset)]
        highs = [min(n, s.stop - offset) for s, offset, n in zip(ranges, self._offset, self.shape[1:])]
        self._forget_before(lows[0])
        starts = [low + offset - s.start for low, offset, s in zip(lows, self._offset, ranges)]
        z = lows[0]
        while z < highs[0]:
            block = self._block(z // BLOCK)
            inside = z % BLOCK
            count = min(highs[0] - z, block.shape[1] - inside)
            at = starts[0] + z - lows[0]
            tile[
                :,
                at : at + count,
                starts[1] : starts[1] + highs[1] - lows[1],
                starts[2] : starts[2] + highs[2] - lows[2],
            ] = block[:, inside : inside + count, lows[1] : highs[1], lows[2] : highs[2]]
            z += count
        return tile[:, 0] if isinstance(slicer[1], int) else tile

    def _block(self, number: int) -> torch.Tensor:
        if number not in self._blocks:
            self._blocks[number] = self._preprocessed.block(number)
        return self._blocks[number]

    def _forget_before(self, z: int) -> None:
        for number in [n for n in self._blocks if (n + 1) * BLOCK <= z]:
            del self._blocks[number]


class ArraySlices:
    """An array, or something sliced like one (numpy memory map, blosc2), as images that are read in parts."""

    def __init__(self, array: Any, properties: dict[str, Any]):
        self._array = array
        self.shape = tuple(array.shape)
        self.properties = properties

    def read(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        """float32 (C, ...)."""
        return np.asarray(self._array[(slice(None), *index)]).astype(np.float32)


def sliced_files(
    files: Sequence[str], plans_manager: PlansManager, configuration: ConfigurationManager, folder: str | None
) -> SlicedCase:
    """A case of NIfTI files. ``folder`` (default: the system's) takes unpacked copies while it is predicted."""
    _require_stock(configuration)
    refuse_cascade(configuration, files)
    from nnunetv2.imageio.nifti_slices import NiftiSlices

    unpacked = tempfile.TemporaryDirectory(prefix=temporary_prefix() + "unpacked_", dir=folder)
    images = NiftiSlices(files, plans_manager.image_reader_writer_class, unpacked.name)
    try:
        return SlicedCase(SlicedPreprocessing(images, plans_manager, configuration), unpacked)
    except NotFiniteError as error:
        raise error.in_files(files, images.shape[0]) from error


def sliced_array(
    array: Any, properties: dict[str, Any], plans_manager: PlansManager, configuration: ConfigurationManager
) -> SlicedCase:
    """A case given as array (C, Z, Y, X), axes as from the reader."""
    _require_stock(configuration)
    refuse_cascade(configuration, ["the array"])
    return SlicedCase(SlicedPreprocessing(ArraySlices(array, properties), plans_manager, configuration))


def _require_stock(configuration: ConfigurationManager) -> None:
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    if configuration.preprocessor_class is not DefaultPreprocessor:
        raise UsageError(
            f"images larger than --max-memory are preprocessed like DefaultPreprocessor does it, but the plans name "
            f"{configuration.preprocessor_class.__name__}"
        )
