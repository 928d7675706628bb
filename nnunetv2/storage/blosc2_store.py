"""Preprocessed cases as blosc2 files (.b2nd): compressed, and readable in parts."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from os.path import basename, isfile, join
from typing import Any

import blosc2
import numpy as np

from nnunetv2.errors import FileContentError, MemoryLimitError, MissingFileError
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.layout import files_with_ending
from nnunetv2.storage.dataset import (
    SEG_SUFFIX,
    LoadedCase,
    check_identifier,
    nnUNetBaseDataset,
    read_properties,
    write_properties,
)

ENDING = ".b2nd"

# A block is what is decompressed at once (should fit into a core's L2 cache), a chunk what is read at once.
_MAX_BLOCK_BYTES = 128 * 1024
_MAX_CHUNK_BYTES = 6 * 1024 * 1024
# Training crops patches larger than the final patch, so chunks may reach this far.
_CHUNK_PER_PATCH = 1.5

# So much of an array shows which filter suits it.
_TRIAL_BYTES = 1024 * 1024

_COMPRESSION_LEVEL = 5
# With several, blocks lie in a file in the order in which they were ready, and equal arrays give different files.
_COMPRESSION_THREADS = 1


def comp_blosc2_params(
    image_size: Sequence[int], patch_size: Sequence[int], bytes_per_pixel: int = 4, **ignored: Any
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Block and chunk shape for an array (C, Z, Y, X) that is read in patches.

    ``patch_size`` has 2 or 3 values (voxels). Both shapes have 1 for the channel axis. Other keywords (cache sizes of
    earlier versions) are ignored. Returns ``(blocks, chunks)``.
    """
    size = [int(n) for n in image_size[1:]]
    is_2d = len(patch_size) == 2
    patch = [1] * is_2d + [int(n) for n in patch_size]
    limit = [max(1, min(s, math.floor(_CHUNK_PER_PATCH * p))) for s, p in zip(size, patch)]
    block = _block_shape(size, patch, limit, bytes_per_pixel)
    growing = [axis for axis in range(3) if patch[axis] != 1 and not (is_2d and axis == 0)]
    chunk = _chunk_shape(block, size, limit, growing, bytes_per_pixel)
    return (1, *block), (1, *chunk)


def _block_shape(size: list[int], patch: list[int], limit: list[int], bytes_per_pixel: int) -> list[int]:
    """Powers of two that cover the patch, the relatively longest axis halved until a block is small enough."""
    block = [min(_power_of_two_from(p), s) for p, s in zip(patch, size)]
    while math.prod(block) * bytes_per_pixel > _MAX_BLOCK_BYTES and max(block) > 1:
        axis = max((a for a in range(3) if block[a] > 1), key=lambda a: (block[a] / limit[a], a))
        block[axis] = _power_of_two_below(block[axis])
    return block


def _chunk_shape(
    block: list[int], size: list[int], limit: list[int], growing: list[int], bytes_per_pixel: int
) -> list[int]:
    """Grow the block by whole blocks, the relatively shortest axis first, while a chunk stays small enough."""
    chunk = list(block)
    while True:
        candidates = []
        for axis in growing:
            longest = min(size[axis], limit[axis])
            grown = min(chunk[axis] + block[axis], longest)
            voxels = math.prod(chunk) // chunk[axis] * grown
            if chunk[axis] < longest and voxels * bytes_per_pixel <= _MAX_CHUNK_BYTES:
                candidates.append((chunk[axis] / limit[axis], -size[axis], axis, grown))
        if not candidates:
            return chunk
        *_, axis, grown = min(candidates)
        chunk[axis] = grown


def _power_of_two_from(n: int) -> int:
    """Smallest power of two that is at least ``n``."""
    return 1 << max(0, n - 1).bit_length()


def _power_of_two_below(n: int) -> int:
    """Largest power of two strictly below ``n``, at least 1."""
    return 1 << max(0, (n - 1).bit_length() - 1)


class nnUNetDatasetBlosc2(nnUNetBaseDataset):
    """Cases as ``<case>.b2nd`` (C, Z, Y, X), ``<case>_seg.b2nd`` (1, Z, Y, X) and ``<case>.pkl``."""

    comp_blosc2_params = staticmethod(comp_blosc2_params)

    def load_case(self, identifier: str) -> LoadedCase:
        """See the base class; arrays are open blosc2 files, and slicing decompresses only the blocks it touches."""
        data = open_array(join(self.source_folder, identifier + ENDING))
        seg = open_array(join(self.source_folder, identifier + SEG_SUFFIX + ENDING))
        seg_prev = None
        if self.folder_with_segs_from_previous_stage is not None:
            seg_prev = open_array(join(self.folder_with_segs_from_previous_stage, identifier + ENDING))
        return data, seg, seg_prev, read_properties(self.source_folder, identifier)

    @staticmethod
    def save_case(
        data: np.ndarray,
        seg: np.ndarray,
        properties: dict[str, Any],
        output_filename_truncated: str,
        chunks: Sequence[int] | None = None,
        blocks: Sequence[int] | None = None,
        chunks_seg: Sequence[int] | None = None,
        blocks_seg: Sequence[int] | None = None,
    ) -> None:
        """Save a case; each file appears complete or not at all. For the shapes see ``comp_blosc2_params``."""
        check_identifier(basename(output_filename_truncated))
        # The image comes last: a case is listed by it, so an interrupted save leaves no half case.
        write_properties(output_filename_truncated, properties)
        write_array(seg, output_filename_truncated + SEG_SUFFIX + ENDING, chunks_seg, blocks_seg)
        write_array(data, output_filename_truncated + ENDING, chunks, blocks)

    @staticmethod
    def save_seg(
        seg: np.ndarray,
        output_filename_truncated: str,
        chunks_seg: Sequence[int] | None = None,
        blocks_seg: Sequence[int] | None = None,
    ) -> None:
        """Save a segmentation (Z, Y, X) for the next stage as ``<output_filename_truncated>.b2nd``."""
        write_array(seg, output_filename_truncated + ENDING, chunks_seg, blocks_seg)

    @staticmethod
    def get_identifiers(folder: PathLike) -> list[str]:
        """Sorted cases: all ``.b2nd`` files that are no segmentations."""
        names = (name[: -len(ENDING)] for name in files_with_ending(folder, ENDING))
        return [name for name in names if not name.endswith(SEG_SUFFIX)]


class ArrayFile:
    """An open ``.b2nd`` file: sliced like an array, with all else a ``blosc2.NDArray`` has.

    A part that cannot be decompressed raises FileContentError naming the file, one too large MemoryLimitError.
    """

    def __init__(self, array: blosc2.NDArray, path: str):
        self._array, self._path = array, path

    def __getitem__(self, index: Any) -> np.ndarray:
        try:
            return self._array[index]
        except MemoryError as error:
            raise MemoryLimitError(
                f"{self._path}: a part of it does not fit into memory; its header states shape {self._array.shape}. If "
                "that is wrong, preprocess it again"
            ) from error
        except (RuntimeError, ValueError) as error:
            raise FileContentError(f"{self._path} is damaged: {error}. Preprocess it again") from error

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[...], dtype)

    def __len__(self) -> int:
        return self._array.shape[0]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_array":  # not there yet, as while a copy is made
            raise AttributeError(name)
        return getattr(self._array, name)


def open_array(path: PathLike) -> ArrayFile:
    """Open a ``.b2nd`` file for reading, memory mapped where the system allows, decompressing with one thread.

    Raises MissingFileError or FileContentError naming the path.
    """
    if not isfile(path):
        raise MissingFileError(f"{os.fspath(path)} does not exist; preprocess this case (again)")
    # Mapping a file blocks its replacement on Windows, and blosc2 does not support it there.
    mapping = {} if os.name == "nt" else {"mmap_mode": "r"}
    try:
        _require_whole_frame(path)
        array = blosc2.open(urlpath=os.fspath(path), mode="r", dparams={"nthreads": 1}, **mapping)
        if not isinstance(array, blosc2.NDArray):
            raise ValueError(f"it holds a {type(array).__name__}, not an array")
        return ArrayFile(array, os.fspath(path))
    except Exception as error:  # a damaged file raises whatever its bytes happen to mean
        raise FileContentError(
            f"{os.fspath(path)} is not a readable blosc2 file: {error}. Preprocess it again"
        ) from error


def _require_whole_frame(path: PathLike) -> None:
    """Raise ValueError for a file that is shorter than its header says: blosc2 would read memory behind its end.

    The header of a frame starts with a type byte, its name, and two big-endian numbers with a type byte each: the
    length of the header at byte 11 and that of the frame at byte 16.
    """
    with open(path, "rb") as stream:
        start = stream.read(24)
        size = os.fstat(stream.fileno()).st_size
    if len(start) < 24 or start[2:10] != b"b2frame\0":
        raise ValueError("it does not start like one")
    length = int.from_bytes(start[16:24], "big")
    if size < length:
        raise ValueError(f"{size:,} of {length:,} bytes are there")


def write_array(
    array: np.ndarray, path: PathLike, chunks: Sequence[int] | None = None, blocks: Sequence[int] | None = None
) -> None:
    """Write ``array`` as a ``.b2nd`` file, atomically, with LZ4HC and the better of no filter and byte shuffling."""
    array = np.ascontiguousarray(array)
    shapes = {}
    if chunks is not None:
        shapes["chunks"] = tuple(int(n) for n in chunks)
    if blocks is not None:
        shapes["blocks"] = tuple(int(n) for n in blocks)
    parameters = _compression(_better_filter(array, shapes))
    with atomic_path(path) as temporary:
        blosc2.asarray(array, urlpath=str(temporary), mode="w", cparams=parameters, **shapes)


def _compression(shuffle: blosc2.Filter) -> dict[str, Any]:
    return {
        "codec": blosc2.Codec.LZ4HC,
        "clevel": _COMPRESSION_LEVEL,
        "nthreads": _COMPRESSION_THREADS,
        "filters": [shuffle],
        "filters_meta": [0],
    }


def _better_filter(array: np.ndarray, shapes: dict[str, tuple[int, ...]]) -> blosc2.Filter:
    """Try both filters on a piece from the middle of the array; no filter unless shuffling gives a smaller result."""
    extent = shapes.get("chunks", array.shape)
    middle = tuple(slice((n - min(n, e)) // 2, (n - min(n, e)) // 2 + min(n, e)) for n, e in zip(array.shape, extent))
    piece = np.ascontiguousarray(array[middle])
    if not piece.size:
        return blosc2.Filter.NOFILTER
    voxels = _TRIAL_BYTES // piece.itemsize
    first = max(0, piece.size - voxels) // 2
    piece = piece.reshape(-1)[first : first + voxels]
    size = {
        choice: len(blosc2.compress2(piece, typesize=piece.itemsize, **_compression(choice)))
        for choice in (blosc2.Filter.NOFILTER, blosc2.Filter.SHUFFLE)
    }
    return min(size, key=size.__getitem__)  # the first of equals
