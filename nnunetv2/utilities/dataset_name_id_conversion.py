"""Data sets by number and by name: 4, "4", "Dataset004_Hippocampus"."""

from __future__ import annotations

import os
import re

from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw, nnUNet_results

# At least three digits, so that Dataset4_X is no data set; more where the number needs them.
_NAME = re.compile(r"^Dataset(\d{3,})(_.*)?$")
_ROOTS = (nnUNet_preprocessed, nnUNet_raw, nnUNet_results)


def find_candidate_datasets(dataset_id: int) -> list[str]:
    """Sorted names of all folders for data set ``dataset_id`` in the three root folders (those that are set)."""
    names = set()
    for root in _ROOTS:
        folder = root.get()
        if folder and os.path.isdir(folder):
            for entry in os.scandir(folder):
                match = _NAME.match(entry.name)
                if match and int(match.group(1)) == int(dataset_id) and entry.is_dir():
                    names.add(entry.name)
    return sorted(names)


def convert_id_to_dataset_name(dataset_id: int) -> str:
    """The one data set with that number. Raises DatasetError (a RuntimeError) when there is none, or more than one."""
    names = find_candidate_datasets(dataset_id)
    if len(names) == 1:
        return names[0]
    looked_in = "\n".join(f"  {root.name} = {root!r}" for root in _ROOTS)
    if not names:
        raise DatasetError(
            f"There is no data set {dataset_id} (a folder Dataset{int(dataset_id):03d}_NAME) in\n{looked_in}\n"
            "Check the number and these environment variables"
        )
    raise DatasetError(
        f"Number {dataset_id} belongs to {len(names)} data sets: {', '.join(names)}. Looked in\n{looked_in}\n"
        "Numbers must be unique: rename or move all but one, or give the full name"
    )


def convert_dataset_name_to_id(dataset_name: str) -> int:
    """Number of a data set from its name. Raises DatasetError (an AssertionError too) for another kind of name."""
    match = _NAME.match(dataset_name)
    if not match:
        raise DatasetError(f"{dataset_name!r} is not a data set name; these look like Dataset004_Hippocampus")
    return int(match.group(1))


def maybe_convert_to_dataset_name(dataset_name_or_id: int | str) -> str:
    """Name of the data set: a name is returned as it is, a number (also as text) is looked up.

    Raises UsageError (a ValueError) for text that is neither.
    """
    if isinstance(dataset_name_or_id, str):
        if dataset_name_or_id.startswith("Dataset"):
            return dataset_name_or_id
        try:
            dataset_name_or_id = int(dataset_name_or_id)
        except ValueError as error:
            raise UsageError(
                f"{dataset_name_or_id!r} is neither a data set number nor a name starting with 'Dataset'"
            ) from error
    return convert_id_to_dataset_name(int(dataset_name_or_id))
