"""The folders of a cross-validation: which case was predicted in which fold, and where results are collected."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Collection, Sequence
from os.path import isdir, join

from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.records.layout import (
    DATASET_JSON,
    PLANS_JSON,
    POSTPROCESSED,
    POSTPROCESSING_JSON,
    POSTPROCESSING_PKL,
    SUMMARY_JSON,
    VALIDATION,
    files_with_ending,
    fold_folder_name,
)

logger = logging.getLogger(__name__)

_DOCUMENTS = {DATASET_JSON, PLANS_JSON, SUMMARY_JSON, POSTPROCESSING_JSON, POSTPROCESSING_PKL}


def validation_folder(model_folder: str, fold: int | str) -> str:
    """Where the final validation of a fold lies."""
    return join(model_folder, fold_folder_name(fold), VALIDATION)


def validated_cases(model_folder: str, folds: Sequence[int | str], ending: str) -> dict[str, str]:
    """Each case to the validation folder that has its ``<case><ending>``, in the order of folds and names.

    Raises MissingFileError when a fold has none of them, DatasetError when two folds have the same case.
    """
    with_probabilities = " with probabilities" if ending == ".npz" else ""
    cases: dict[str, str] = {}
    for fold in folds:
        folder = validation_folder(model_folder, fold)
        names = files_with_ending(folder, ending) if isdir(folder) else []
        if not names:
            raise MissingFileError(
                f"{folder} has no predictions{with_probabilities} (*{ending}). Train fold {fold}, or run its "
                f"validation again: nnUNetv2_train ... {fold} --val --npz"
            )
        for name in names:
            case = name[: -len(ending)]
            if case in cases:
                raise DatasetError(
                    f"case {case} is in {cases[case]} and in {folder}; folds that share cases are no cross-validation. "
                    "Leave one of them out, or delete predictions of an earlier split"
                )
            cases[case] = folder
    return cases


def prepare_collection(folder: str, names: Collection[str], file_ending: str, overwrite: bool) -> None:
    """Make ``folder`` ready for the files ``names``: made if needed, emptied if ``overwrite``.

    It is emptied only if an earlier run filled it, told by its having dataset.json and plans.json and nothing else
    than results. Otherwise UsageError. Without ``overwrite`` files of other cases only cause a warning.
    """
    os.makedirs(folder, exist_ok=True)
    if not overwrite:
        stale = sorted(set(files_with_ending(folder, file_ending)) - set(names))
        if stale:
            logger.warning(
                "%s has files of %d other cases, such as %s; they are kept, but belong to another cross-validation",
                *(folder, len(stale), stale[0]),
            )
        return
    content = set(os.listdir(folder))
    if not content:
        return
    expected = _DOCUMENTS | {POSTPROCESSED} | {side_car(name, file_ending) for name in content}
    foreign = sorted(name for name in content - expected if not name.endswith(file_ending))
    if foreign or not {DATASET_JSON, PLANS_JSON} <= content:
        reason = f"holds {foreign[0]}" if foreign else f"has no {DATASET_JSON} and {PLANS_JSON}"
        raise UsageError(
            f"{folder} is not emptied: it {reason}, so it is not the result of an earlier run. Choose an empty folder"
        )
    shutil.rmtree(folder)
    os.makedirs(folder)


def side_car(name: str, file_ending: str) -> str:
    """The JSON file that some writers leave beside an image: ``case.json`` for ``case.tif``."""
    return name.removesuffix(file_ending) + ".json"
