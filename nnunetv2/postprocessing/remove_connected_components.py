"""Keep only the largest component of a label, a region or all foreground: in arrays, files and folders.

The functions in existing ``postprocessing.pkl`` files are found here by name.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from os.path import isdir, join
from typing import Any

import numpy as np

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.evaluation.folder_documents import document_of
from nnunetv2.evaluation.folder_summaries import current_summary, labels_or_regions
from nnunetv2.evaluation.metrics import whole_numbers
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.postprocessing.components import LabelsOrRegions, outside_largest_components, union_mask
from nnunetv2.postprocessing.postprocessing_files import Chain, read_postprocessing, write_postprocessing
from nnunetv2.postprocessing.search import helpful_steps
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.files import PathLike, copy_file
from nnunetv2.records.folders import written_aside
from nnunetv2.records.layout import (
    DATASET_JSON,
    PLANS_JSON,
    POSTPROCESSED,
    POSTPROCESSING_JSON,
    POSTPROCESSING_PKL,
    files_with_ending,
)
from nnunetv2.records.temporary import remove_remains
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

logger = logging.getLogger(__name__)

Document = PathLike | Mapping | None


def remove_all_but_largest_component_from_segmentation(
    segmentation: np.ndarray, labels_or_regions: LabelsOrRegions, background_label: int = 0
) -> np.ndarray:
    """Copy of a label map in which only the largest component of a label or region is left.

    ``labels_or_regions``: a label, a region (tuple of labels), or a list of them, which means their union. Voxels of
    all smaller components become ``background_label``, whatever their label. Components touch by faces, edges or
    corners; if several have the maximum size, all of them stay.
    """
    result = segmentation.copy()
    result[outside_largest_components(union_mask(segmentation, labels_or_regions))] = background_label
    return result


KNOWN_FUNCTIONS = (remove_all_but_largest_component_from_segmentation,)


def apply_postprocessing(
    segmentation: np.ndarray, pp_fns: Sequence[Callable], pp_fn_kwargs: Sequence[Mapping[str, Any]]
) -> np.ndarray:
    """Label map after all functions, each called with its keyword arguments, in order."""
    for function, kwargs in zip(pp_fns, pp_fn_kwargs):
        segmentation = function(segmentation, **kwargs)
    return segmentation


def load_postprocess_save(
    segmentation_file: str,
    output_fname: str,
    image_reader_writer: BaseReaderWriter,
    pp_fns: Sequence[Callable],
    pp_fn_kwargs: Sequence[Mapping[str, Any]],
) -> None:
    """``apply_postprocessing`` from file to file; the geometry stays."""
    segmentation, properties = image_reader_writer.read_seg(segmentation_file)
    result = apply_postprocessing(whole_numbers(segmentation[0]), pp_fns, pp_fn_kwargs)
    with written_aside(output_fname) as temporary:
        image_reader_writer.write_seg(result, str(temporary), properties)


def load_postprocessing(file: PathLike) -> Chain:
    """Functions and keyword arguments from a ``postprocessing.pkl`` or ``.json``; see ``read_postprocessing``."""
    return read_postprocessing(file, KNOWN_FUNCTIONS)


def apply_postprocessing_to_folder(
    input_folder: str,
    output_folder: str,
    pp_fns: Sequence[Callable],
    pp_fn_kwargs: Sequence[Mapping[str, Any]],
    plans_file_or_dict: Document = None,
    dataset_json_file_or_dict: Document = None,
    num_processes: int = 8,
) -> None:
    """Postprocess every segmentation of ``input_folder`` into a file of the same name in ``output_folder``.

    Plans (for the reader) and dataset.json (for the file ending) default to the files in the input folder. Raises
    MissingFileError when they are not there, DatasetError when there is no segmentation.
    """
    _require_folder(input_folder)
    plans = document_of(plans_file_or_dict, input_folder, PLANS_JSON)
    ending = document_of(dataset_json_file_or_dict, input_folder, DATASET_JSON)["file_ending"]
    reader = PlansManager(plans).image_reader_writer_class()
    names = files_with_ending(input_folder, ending)
    if not names:
        raise DatasetError(f"{input_folder} has no segmentations (*{ending})")
    os.makedirs(output_folder, exist_ok=True)
    remove_remains(output_folder)
    tasks = [
        (name, (join(input_folder, name), join(output_folder, name), reader, pp_fns, pp_fn_kwargs)) for name in names
    ]
    with failed_cases_listed(output_folder, "Postprocessing"):
        map_cases(load_postprocess_save, tasks, num_processes, what="postprocessing")


def determine_postprocessing(
    folder_predictions: str,
    folder_ref: str,
    plans_file_or_dict: Document = None,
    dataset_json_file_or_dict: Document = None,
    num_processes: int | None = None,
    keep_postprocessed_files: bool = True,
) -> Chain:
    """Find out for which labels keeping the largest component raises the Dice, and write down what was found.

    Writes ``postprocessing.json`` and ``postprocessing.pkl`` into ``folder_predictions``, and unless
    ``keep_postprocessed_files`` is False the postprocessed segmentations with their summary into ``postprocessed``
    below it (all files of the folder if nothing helped). A summary.json that is missing or out of date is made anew.

    Returns the functions and their keyword arguments, in order; see ``search.helpful_steps`` for the rules. Plans and
    dataset.json default to the files in ``folder_predictions``.
    """
    _require_folder(folder_predictions)
    workers = default_num_processes() if num_processes is None else num_processes
    plans_manager = PlansManager(document_of(plans_file_or_dict, folder_predictions, PLANS_JSON))
    dataset_json = document_of(dataset_json_file_or_dict, folder_predictions, DATASET_JSON)
    labels = plans_manager.get_label_manager(dataset_json)
    files = _predictions_and_references(folder_predictions, folder_ref, dataset_json["file_ending"])
    before = current_summary(folder_predictions, folder_ref, plans_manager, dataset_json, workers)
    with failed_cases_listed(folder_predictions, "Postprocessing"):
        steps = helpful_steps(
            files,
            plans_manager.image_reader_writer_class(),
            labels.foreground_labels,
            labels_or_regions(labels),
            labels.ignore_label,
            workers,
        )
    chain: Chain = (
        [remove_all_but_largest_component_from_segmentation] * len(steps),
        [{"labels_or_regions": step} for step in steps],
    )
    target = join(folder_predictions, POSTPROCESSED)
    shutil.rmtree(target, ignore_errors=True)
    if steps:
        apply_postprocessing_to_folder(
            folder_predictions, target, *chain, plans_manager.plans, dataset_json, num_processes=workers
        )
        after = current_summary(target, folder_ref, plans_manager, dataset_json, workers)
    else:
        after = before
        _copy_files(folder_predictions, target)
    write_postprocessing(folder_predictions, chain, before, after)
    if not keep_postprocessed_files:
        shutil.rmtree(target)
    return chain


def _require_folder(folder: str) -> None:
    if not isdir(folder):
        raise MissingFileError(f"the folder {folder} does not exist")


def _predictions_and_references(folder_pred: str, folder_ref: str, ending: str) -> dict[str, tuple[str, str]]:
    """Case to prediction and reference. Raises when there is no prediction, or one without reference."""
    _require_folder(folder_ref)
    predicted, references = (files_with_ending(folder, ending) for folder in (folder_pred, folder_ref))
    if not predicted:
        raise DatasetError(f"{folder_pred} has no segmentations (*{ending})")
    missing = sorted(set(predicted) - set(references))
    if missing:
        raise MissingFileError(f"{folder_ref} lacks the references of {', '.join(missing[:10])} in {folder_pred}")
    unused = len(set(references) - set(predicted))
    if unused:
        logger.warning(
            "%d references in %s have no prediction in %s; they play no part", unused, folder_ref, folder_pred
        )
    return {name.removesuffix(ending): (join(folder_pred, name), join(folder_ref, name)) for name in predicted}


def _copy_files(source: str, target: str) -> None:
    """All files but the description of an earlier postprocessing."""
    os.makedirs(target, exist_ok=True)
    for entry in os.scandir(source):
        if entry.is_file() and entry.name not in (POSTPROCESSING_PKL, POSTPROCESSING_JSON):
            copy_file(entry.path, join(target, entry.name))
