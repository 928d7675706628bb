"""A new raw data set: its name, its number that nobody else may have, its folder that is complete or absent."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import join
from pathlib import Path

from nnunetv2.errors import CaseFailures, DatasetError, UsageError
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.folders import atomic_folder
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id, find_candidate_datasets

logger = logging.getLogger(__name__)


def dataset_name(number: int, name: str) -> str:
    """``DatasetXXX_name``. Raises UsageError for a number below 1."""
    if number < 1:
        raise UsageError(f"{number} is no data set number; use a whole number from 1")
    return f"Dataset{number:03d}_{name}"


def require_valid_name(name: str) -> None:
    """Raise UsageError unless ``name`` looks like Dataset004_Hippocampus, with no character special to file systems."""
    if not re.fullmatch(r"Dataset\d{3,}_[\w.\-]+", name):
        raise UsageError(
            f"{name!r} is no name of a data set: Dataset, a number of at least three digits, _ and a name of letters, "
            "digits, '_', '-' or '.' are needed, as in Dataset004_Hippocampus"
        )


def require_free_number(name: str, allowed: str | None = None) -> None:
    """Raise DatasetError when a data set other than ``allowed`` has the number of ``name`` in a root folder."""
    number = convert_dataset_name_to_id(name)
    taken = [other for other in find_candidate_datasets(number) if other != allowed]
    if taken:
        raise DatasetError(
            f"number {number} belongs to {', '.join(taken)} already (nnUNet_raw, nnUNet_preprocessed and "
            "nnUNet_results are searched); choose another one"
        )


@contextmanager
def new_raw_dataset(name: str) -> Iterator[Path]:
    """Yield an empty folder that becomes ``nnUNet_raw/name`` on success; on an exception nothing of it remains.

    Raises UsageError when that folder exists. Failures of single cases become one DatasetError.
    """
    target = join(nnUNet_raw.require(), name)
    try:
        with atomic_folder(target) as folder:
            yield folder
    except CaseFailures as failures:
        listing = "\n".join(f"  - {case}: {error}" for case, error in failures.failures.items())
        raise DatasetError(f"{target} was not made:\n{listing}") from failures
    logger.info(
        "%s is complete. Next: nnUNetv2_plan_and_preprocess -d %d --verify_dataset_integrity",
        target,
        convert_dataset_name_to_id(name),
    )
