"""Collect the validation predictions of all folds of a model in one folder and evaluate them together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os.path import isfile, join
from typing import Any

from nnunetv2.evaluation.crossval_folders import prepare_collection, side_car, validated_cases
from nnunetv2.evaluation.folder_summaries import current_summary, reference_folder
from nnunetv2.records.files import copy_file, copy_if_newer, read_json
from nnunetv2.records.layout import DATASET_JSON, PLANS_JSON, SUMMARY_JSON
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


def accumulate_cv_results(
    trained_model_folder: str,
    merged_output_folder: str,
    folds: Sequence[int | str],
    num_processes: int | None = None,
    overwrite: bool = True,
) -> dict[str, Any]:
    """Copy ``fold_X/validation`` of ``folds`` into ``merged_output_folder``, evaluate there, and return the summary.

    The references are those of the data set the plans name: labelsTr, else the copies beside the preprocessed data.

    Parameters
    ----------
    overwrite : empty the folder first if an earlier run filled it (UsageError if it holds anything else). False: only
        missing or changed files are copied, and the evaluation is repeated only if something changed.

    Raises MissingFileError (a RuntimeError) when a fold was not validated, DatasetError when folds share a case.
    """
    dataset_json = read_json(join(trained_model_folder, DATASET_JSON))
    plans_manager = PlansManager(join(trained_model_folder, PLANS_JSON))
    ending = dataset_json["file_ending"]
    cases = validated_cases(trained_model_folder, folds, ending)
    names = sorted(case + ending for case in cases)
    references = reference_folder(plans_manager.dataset_name, names)
    prepare_collection(merged_output_folder, names, ending, overwrite)
    for name in (DATASET_JSON, PLANS_JSON):
        copy_file(join(trained_model_folder, name), join(merged_output_folder, name))
    copied = [_copy_case(folder, case + ending, ending, merged_output_folder) for case, folder in cases.items()]
    summary_file = join(merged_output_folder, SUMMARY_JSON)
    if any(copied) and isfile(summary_file):
        os.remove(summary_file)
    return current_summary(merged_output_folder, references, plans_manager, dataset_json, num_processes)


def _copy_case(source_folder: str, name: str, ending: str, target_folder: str) -> bool:
    """Copy a segmentation, and the file with its geometry if the format has one; says whether anything was copied."""
    files = [name, side_car(name, ending)]
    present = [file for file in files if isfile(join(source_folder, file))]
    copied = [copy_if_newer(join(source_folder, file), join(target_folder, file)) for file in present]
    return any(copied)
