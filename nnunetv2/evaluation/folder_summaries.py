"""The summary.json of a folder of predictions: read if it still fits the files, made anew if not."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from os.path import basename, isdir, isfile, join
from typing import Any

import numpy as np

from nnunetv2.errors import FileContentError, MissingFileError
from nnunetv2.evaluation.evaluate_predictions import compute_metrics_of_cases
from nnunetv2.evaluation.metrics import plain_label_or_region
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.records.layout import GROUND_TRUTH, LABELS_TR, SUMMARY_JSON, files_with_ending
from nnunetv2.records.summary import LabelOrRegion, load_summary_json
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

logger = logging.getLogger(__name__)


def labels_or_regions(label_manager: LabelManager) -> list[LabelOrRegion]:
    """What is evaluated: the foreground regions in the order of dataset.json, or the foreground labels, ascending."""
    items = label_manager.foreground_regions if label_manager.has_regions else label_manager.foreground_labels
    return [plain_label_or_region(item) for item in items]


def reference_folder(dataset_name: str, file_names: Sequence[str]) -> str:
    """Folder with the references of all ``file_names``: labelsTr of the raw data set, else the preprocessed one's copy.

    Raises MissingFileError when neither has them all.
    """
    candidates = [
        join(root.require(), dataset_name, sub)
        for root, sub in ((nnUNet_raw, LABELS_TR), (nnUNet_preprocessed, GROUND_TRUTH))
        if root.is_set()
    ]
    for folder in candidates:
        if isdir(folder) and all(isfile(join(folder, name)) for name in file_names):
            return folder
    raise MissingFileError(
        f"no folder has the references of all {len(file_names)} cases of {dataset_name}; looked in "
        f"{' and '.join(candidates) or 'nothing, since nnUNet_raw and nnUNet_preprocessed are not set'}"
    )


def current_summary(
    folder_pred: str,
    folder_ref: str,
    plans_manager: PlansManager,
    dataset_json: Mapping[str, Any],
    num_processes: int | None = None,
) -> dict[str, Any]:
    """``summary.json`` of all predictions in a folder; evaluated and written if it is missing or out of date.

    It is out of date when it tells of other cases or labels, or is older than a prediction or a reference. References
    that have no prediction are left out.
    """
    names = files_with_ending(folder_pred, dataset_json["file_ending"])
    label_manager = plans_manager.get_label_manager(dataset_json)
    wanted = labels_or_regions(label_manager)
    summary_file = join(folder_pred, SUMMARY_JSON)
    if isfile(summary_file):
        reason = _out_of_date(summary_file, folder_pred, folder_ref, names, wanted)
        if reason is None:
            return load_summary_json(summary_file)
        logger.info("%s is made anew: %s", summary_file, reason)
    return compute_metrics_of_cases(
        [name.removesuffix(dataset_json["file_ending"]) for name in names],
        folder_ref,
        folder_pred,
        summary_file,
        plans_manager.image_reader_writer_class(),
        dataset_json["file_ending"],
        wanted,
        label_manager.ignore_label,
        num_processes,
    )


def _out_of_date(
    summary_file: str, folder_pred: str, folder_ref: str, names: Sequence[str], wanted: Sequence[LabelOrRegion]
) -> str | None:
    try:
        summary = load_summary_json(summary_file)
        told = [basename(case["prediction_file"]) for case in summary["metric_per_case"]]
    except (FileContentError, KeyError) as error:
        return f"it is no summary ({error})"
    if sorted(told) != sorted(names):
        return "it was made from other cases"
    if set(summary["mean"]) != set(wanted):
        return "it was made for other labels"
    made = os.path.getmtime(summary_file)
    files = [join(folder, name) for name in names for folder in (folder_pred, folder_ref)]
    newer = [file for file in files if isfile(file) and os.path.getmtime(file) > made]
    return f"{newer[0]} is newer" if newer else None


def mean_of_defined_dice(summary: Mapping[str, Any]) -> float:
    """Mean Dice over the foreground labels for which it is defined; NaN when it is defined for none."""
    dice = [metrics["Dice"] for label, metrics in summary["mean"].items() if label != 0]
    return float(np.nanmean(dice)) if not np.isnan(dice).all() else float("nan")
