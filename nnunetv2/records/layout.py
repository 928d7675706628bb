"""Every file and folder name, once, as constants and functions of a root folder.

Folders follow nnU-Net v2; see documentation/data_format.md. All functions return ``str``, because that is what the
public functions built on them have always returned.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from os.path import join

from nnunetv2.records.files import PathLike

DATASET_JSON = "dataset.json"
FINGERPRINT_JSON = "dataset_fingerprint.json"
PLANS_JSON = "plans.json"
SPLITS_JSON = "splits_final.json"
SUMMARY_JSON = "summary.json"
DEBUG_JSON = "debug.json"
PREDICTION_ARGUMENTS_JSON = "predict_from_raw_data_args.json"
FAILED_CASES_JSON = "failed_cases.json"
PROGRESS_PNG = "progress.png"

CHECKPOINT_FINAL = "checkpoint_final.pth"
CHECKPOINT_LATEST = "checkpoint_latest.pth"
CHECKPOINT_BEST = "checkpoint_best.pth"

IMAGES_TR = "imagesTr"
LABELS_TR = "labelsTr"
IMAGES_TS = "imagesTs"
LABELS_TS = "labelsTs"
GROUND_TRUTH = "gt_segmentations"
VALIDATION = "validation"
PREDICTED_NEXT_STAGE = "predicted_next_stage"

POSTPROCESSING_PKL = "postprocessing.pkl"
POSTPROCESSING_JSON = "postprocessing.json"
POSTPROCESSED = "postprocessed"
ENSEMBLES = "ensembles"
INFERENCE_INFORMATION_JSON = "inference_information.json"
INFERENCE_INSTRUCTIONS_TXT = "inference_instructions.txt"

# "_0000": the channel number between a case's name and its file ending
CHANNEL_SUFFIX_LENGTH = 5


def plans_file(preprocessed_dataset_folder: PathLike, plans_name: str) -> str:
    """Plans of a data set: ``<preprocessed>/<dataset>/<plans_name>.json``."""
    return join(preprocessed_dataset_folder, plans_name + ".json")


def channel_file_name(case: str, channel: int, file_ending: str) -> str:
    """Image file of one channel: ``<case>_<channel as 4 digits><file_ending>``."""
    return f"{case}_{channel:04d}{file_ending}"


def model_identifier(trainer: str, plans: str, configuration: str) -> str:
    """Name of a model folder: ``<trainer>__<plans>__<configuration>``."""
    return f"{trainer}__{plans}__{configuration}"


def fold_folder_name(fold: int | str) -> str:
    """``fold_0``, ``fold_all``."""
    return f"fold_{fold}"


def crossval_results_folder_name(folds: Iterable[int | str]) -> str:
    """Where the validation of several folds is collected: ``crossval_results_folds_0_1_2``."""
    return "crossval_results_folds_" + "_".join(str(fold) for fold in folds)


def next_stage_folder(model_folder: PathLike, next_configuration: str) -> str:
    """Where a model leaves its segmentations for the next stage of a cascade."""
    return join(model_folder, PREDICTED_NEXT_STAGE, next_configuration)


def files_with_ending(folder: PathLike, ending: str) -> list[str]:
    """Sorted names of the visible regular files in ``folder`` that end with ``ending`` (case-sensitive)."""
    with os.scandir(os.fspath(folder)) as entries:
        return sorted(e.name for e in entries if e.is_file() and e.name.endswith(ending) and not e.name.startswith("."))
