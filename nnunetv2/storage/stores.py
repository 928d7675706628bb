"""Which store a folder of preprocessed cases holds."""

from __future__ import annotations

import os

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike
from nnunetv2.records.layout import files_with_ending
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.storage.dataset import nnUNetBaseDataset
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy

file_ending_dataset_mapping: dict[str, type[nnUNetBaseDataset]] = {
    "b2nd": nnUNetDatasetBlosc2,
    "npz": nnUNetDatasetNumpy,
}
"""File ending (without dot) of the image arrays to the class that reads them."""


def infer_dataset_class(folder: PathLike) -> type[nnUNetBaseDataset]:
    """The class that reads the cases in ``folder``, by the endings of its files. Files of other kinds are ignored.

    Raises DatasetError (a RuntimeError and an AssertionError) when there are no cases, or cases in two formats.
    """
    if not os.path.isdir(folder):
        raise DatasetError(f"{os.fspath(folder)} does not exist; preprocess the data set first (nnUNetv2_preprocess)")
    present = [ending for ending in file_ending_dataset_mapping if files_with_ending(folder, "." + ending)]
    if len(present) == 1:
        return file_ending_dataset_mapping[present[0]]
    if present:
        raise DatasetError(
            f"{os.fspath(folder)} holds cases in more than one format ({', '.join(present)}); delete the older, "
            "or preprocess again"
        )
    raise DatasetError(
        f"{os.fspath(folder)} has no preprocessed cases ({' or '.join('.' + e for e in file_ending_dataset_mapping)}); "
        "preprocess the data set first (nnUNetv2_preprocess)"
    )
