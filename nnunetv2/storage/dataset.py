"""What every store of preprocessed cases offers; the formats are in the other modules of this folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from os.path import join
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike, read_pickle, write_pickle

SEG_SUFFIX = "_seg"
"""Ends the name of a segmentation file. A case of such a name could not be told from the segmentation of another."""

LoadedCase = tuple[Any, Any, Any, dict[str, Any]]


class nnUNetBaseDataset(ABC):
    """Preprocessed cases in one folder.

    Parameters
    ----------
    folder : holds the cases.
    identifiers : cases to use; None for all in the folder. Kept sorted, in a list of its own.
    folder_with_segs_from_previous_stage : segmentations (Z, Y, X) of the cascade's previous stage on the same grid.

    Raises DatasetError for identifiers that end in ``_seg``.
    """

    def __init__(
        self,
        folder: PathLike,
        identifiers: Iterable[str] | None = None,
        folder_with_segs_from_previous_stage: PathLike | None = None,
    ):
        self.source_folder = folder
        self.folder_with_segs_from_previous_stage = folder_with_segs_from_previous_stage
        self.identifiers = sorted(self.get_identifiers(folder) if identifiers is None else identifiers)
        for identifier in self.identifiers:
            check_identifier(identifier)

    def __getitem__(self, identifier: str) -> LoadedCase:
        return self.load_case(identifier)

    def __len__(self) -> int:
        return len(self.identifiers)

    def keys(self) -> list[str]:
        """The identifiers, as dictionaries of cases had them in earlier versions."""
        return self.identifiers

    @abstractmethod
    def load_case(self, identifier: str) -> LoadedCase:
        """``(data, seg, seg_prev, properties)`` of one case.

        data (C, Z, Y, X) float32, seg (1, Z, Y, X), seg_prev (Z, Y, X) or None: array-likes that give numpy arrays when
        sliced and may read only what is asked for. Raises an error naming the file that is missing or damaged.
        """

    @staticmethod
    @abstractmethod
    def save_case(
        data: np.ndarray, seg: np.ndarray, properties: dict[str, Any], output_filename_truncated: str
    ) -> None:
        """Save a case; ``output_filename_truncated`` is the path without file ending."""

    @staticmethod
    @abstractmethod
    def save_seg(seg: np.ndarray, output_filename_truncated: str) -> None:
        """Save a segmentation for the next stage of a cascade."""

    @staticmethod
    @abstractmethod
    def get_identifiers(folder: PathLike) -> list[str]:
        """Sorted cases in ``folder``."""

    @staticmethod
    def unpack_dataset(
        folder: PathLike,
        overwrite_existing: bool = False,
        num_processes: int | None = None,
        verify: bool = True,
    ) -> None:
        """Prepare ``folder`` for fast reading; formats that can be read in parts as they are need nothing."""
        return None


def check_identifier(identifier: str) -> None:
    """Raise DatasetError for a name that would be taken for a segmentation file."""
    if identifier.endswith(SEG_SUFFIX):
        raise DatasetError(
            f"case {identifier!r} ends with {SEG_SUFFIX!r}, which marks segmentation files of preprocessed cases. "
            "Rename the case in the raw data set"
        )


def properties_file(folder: PathLike, identifier: str) -> str:
    """Path of the properties of a case."""
    return join(folder, identifier + ".pkl")


def read_properties(folder: PathLike, identifier: str) -> dict[str, Any]:
    """Properties of a case; plain data and arrays only, nothing in the file is executed."""
    return read_pickle(properties_file(folder, identifier))


def write_properties(output_filename_truncated: str, properties: dict[str, Any]) -> None:
    """Write the properties beside the arrays of a case, atomically."""
    write_pickle(output_filename_truncated + ".pkl", properties)
