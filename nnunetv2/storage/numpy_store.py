"""Preprocessed cases as NumPy files, the format before v2.6: .npz, unpacked to .npy for reading in parts."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from os.path import basename, isfile, join
from typing import Any

import numpy as np

from nnunetv2.configuration import num_augmentation_processes
from nnunetv2.errors import FileContentError, MissingFileError
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.layout import files_with_ending
from nnunetv2.storage.archive_members import read_member
from nnunetv2.storage.dataset import (
    SEG_SUFFIX,
    LoadedCase,
    check_identifier,
    nnUNetBaseDataset,
    read_properties,
    write_properties,
)
from nnunetv2.utilities.executors import map_cases

logger = logging.getLogger(__name__)

PACKED, UNPACKED = ".npz", ".npy"
_ATTEMPTS = 3  # one to unpack, two more for files that turn out damaged


class nnUNetDatasetNumpy(nnUNetBaseDataset):
    """Cases as ``<case>.npz`` with ``data`` (C, Z, Y, X) and ``seg`` (1, Z, Y, X), and ``<case>.pkl``."""

    def load_case(self, identifier: str) -> LoadedCase:
        """See the base class; unpacked arrays are memory mapped, packed ones are read whole."""
        path = join(self.source_folder, identifier)
        data = read_array(path + UNPACKED, path + PACKED, "data")
        seg = read_array(path + SEG_SUFFIX + UNPACKED, path + PACKED, "seg")
        seg_prev = None
        if self.folder_with_segs_from_previous_stage is not None:
            path = join(self.folder_with_segs_from_previous_stage, identifier)
            seg_prev = read_array(path + UNPACKED, path + PACKED, "seg")
        return data, seg, seg_prev, read_properties(self.source_folder, identifier)

    @staticmethod
    def save_case(
        data: np.ndarray, seg: np.ndarray, properties: dict[str, Any], output_filename_truncated: str
    ) -> None:
        """Save a case; each file appears complete or not at all."""
        check_identifier(basename(output_filename_truncated))
        write_properties(output_filename_truncated, properties)
        with atomic_path(output_filename_truncated + PACKED) as temporary:
            np.savez_compressed(temporary, data=data, seg=seg)

    @staticmethod
    def save_seg(seg: np.ndarray, output_filename_truncated: str) -> None:
        """Save a segmentation (Z, Y, X) for the next stage as ``<output_filename_truncated>.npz``."""
        with atomic_path(output_filename_truncated + PACKED) as temporary:
            np.savez_compressed(temporary, seg=seg)

    @staticmethod
    def get_identifiers(folder: PathLike) -> list[str]:
        """Sorted cases: all ``.npz`` files."""
        return [name[: -len(PACKED)] for name in files_with_ending(folder, PACKED)]

    @staticmethod
    def unpack_dataset(
        folder: PathLike,
        overwrite_existing: bool = False,
        num_processes: int | None = None,
        verify: bool = True,
    ) -> None:
        """Unpack all cases; see ``unpack_folder``. Default: half of the data augmentation processes."""
        workers = max(1, round(num_augmentation_processes() // 2)) if num_processes is None else num_processes
        identifiers = nnUNetDatasetNumpy.get_identifiers(folder)
        unpack_folder(folder, identifiers, True, overwrite_existing, workers, verify)


def read_array(unpacked: PathLike, packed: PathLike, key: str) -> np.ndarray:
    """The memory mapped ``unpacked`` file if it exists, else array ``key`` of ``packed``.

    Pickled objects are refused. Raises MissingFileError or FileContentError naming the path.
    """
    path = unpacked if isfile(unpacked) else packed
    try:
        if path == unpacked:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        return read_member(path, key)
    except FileNotFoundError as error:
        raise MissingFileError(f"{os.fspath(packed)} does not exist; preprocess this case (again)") from error
    except Exception as error:  # a damaged file raises whatever its bytes happen to mean
        raise FileContentError(f"{os.fspath(path)} cannot be read: {error}. Make it again") from error


def unpack_folder(
    folder: PathLike,
    identifiers: Iterable[str],
    unpack_segmentation: bool = True,
    overwrite_existing: bool = False,
    workers: int = 1,
    verify: bool = True,
) -> None:
    """Write ``<case>.npy`` and ``<case>_seg.npy`` beside every ``<case>.npz``.

    Existing files are kept unless ``overwrite_existing``. ``verify`` opens all files afterwards; those that cannot be
    read are deleted and unpacked again, twice at most. Raises CaseFailures for cases that cannot be unpacked and
    FileContentError if files stay unreadable.
    """
    pending = list(identifiers)
    for _ in range(_ATTEMPTS):
        arguments = (unpack_segmentation, overwrite_existing)
        map_cases(
            _unpack_case,
            [(case, (join(folder, case), *arguments)) for case in pending],
            workers,
            what=f"Unpacking {os.fspath(folder)}",
        )
        if not verify:
            return
        pending = [case for case in pending if _remove_if_unreadable(join(folder, case), unpack_segmentation)]
        if not pending:
            return
        logger.warning("unpacked files of %s could not be read and were deleted; they are made again", pending)
    raise FileContentError(
        f"{os.fspath(folder)}: unpacked files of {', '.join(pending)} stay unreadable. Check the disk"
    )


def _unpacked_files(truncated: str, with_segmentation: bool) -> list[tuple[str, str]]:
    files = [("data", truncated + UNPACKED)]
    return [*files, ("seg", truncated + SEG_SUFFIX + UNPACKED)] if with_segmentation else files


def _unpack_case(truncated: str, with_segmentation: bool, overwrite: bool) -> None:
    for key, target in _unpacked_files(truncated, with_segmentation):
        if overwrite or not isfile(target):
            array = read_array("", truncated + PACKED, key)
            with atomic_path(target) as temporary:
                np.save(temporary, array)


def _remove_if_unreadable(truncated: str, with_segmentation: bool) -> bool:
    """Whether an unpacked file of the case could not be opened; then all of its unpacked files are deleted."""
    files = [path for _, path in _unpacked_files(truncated, with_segmentation)]
    try:
        for path in files:
            np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        for path in files:
            if isfile(path):
                os.remove(path)
        return True
    return False
