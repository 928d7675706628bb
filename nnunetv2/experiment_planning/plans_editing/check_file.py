"""Checking the plans file that is meant by a path, or by a data set and the name of its plans."""

from __future__ import annotations

import os

from nnunetv2.experiment_planning.plans_checks.check import check_plans_file
from nnunetv2.experiment_planning.plans_editing.documents import DEFAULT_PLANS, mapping_beside, plans_path
from nnunetv2.records.files import PathLike
from nnunetv2.records.findings import Finding
from nnunetv2.records.layout import DATASET_JSON, FINGERPRINT_JSON


def check(file_or_dataset: PathLike | int, plans_name: str = DEFAULT_PLANS) -> list[Finding]:
    """Everything that is wrong with a plans file, by itself and against the documents beside it; empty when clean.

    Raises MissingFileError or UsageError when there is no such file.
    """
    path = plans_path(file_or_dataset, plans_name)
    found_by_name = path != str(file_or_dataset if isinstance(file_or_dataset, int) else os.fspath(file_or_dataset))
    return check_plans_file(
        path,
        dataset_json=mapping_beside(path, DATASET_JSON),
        fingerprint=mapping_beside(path, FINGERPRINT_JSON),
        plans_name=plans_name if found_by_name else None,
    )
