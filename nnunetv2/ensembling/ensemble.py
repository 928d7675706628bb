"""Ensembles: average the probabilities of several predictions, or of several cross-validations, and label the mean."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from os.path import isdir, isfile, join
from typing import Any

import numpy as np
import torch

from nnunetv2.configuration import available_cpus
from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.ensembling.probability_files import (
    ENDINGS,
    existing_file,
    mean_channels,
    probabilities_shape,
    saved_on_the_way,
    without_ending,
)
from nnunetv2.errors import LabelsError, MissingFileError, UsageError
from nnunetv2.evaluation.crossval_folders import prepare_collection, validated_cases
from nnunetv2.evaluation.folder_documents import document_of
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.inference.streaming.labels_from_logits import (
    follows_stock_rules,
    label_dtype,
    labels_of_largest,
    regions_of_channels,
)
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.files import PathLike, read_json, read_pickle, write_json, write_pickle
from nnunetv2.records.folders import written_aside
from nnunetv2.records.labels import Labels
from nnunetv2.records.layout import DATASET_JSON, PLANS_JSON, files_with_ending
from nnunetv2.records.temporary import remove_remains
from nnunetv2.utilities.disk_space import require_room
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

logger = logging.getLogger(__name__)

NPZ = ".npz"


def average_probabilities(list_of_files: Sequence[PathLike]) -> np.ndarray:
    """Mean of the probabilities (C, Z, Y, X) of several files (``.npz``, ``.b2nd``), float32, all weights equal."""
    result = np.empty(probabilities_shape(list_of_files[0]), dtype=np.float32)
    for target, channel in zip(result, mean_channels(list_of_files)):
        target[...] = channel
    return result


def merge_files(
    list_of_files: Sequence[PathLike],
    output_filename_truncated: str,
    output_file_ending: str,
    image_reader_writer: type[BaseReaderWriter] | BaseReaderWriter,
    label_manager: LabelManager,
    save_probabilities: bool = False,
) -> None:
    """Write the segmentation ``<output_filename_truncated><output_file_ending>`` of one case from its probabilities.

    Memory does not grow with the number of files or labels. The geometry comes from the ``.pkl`` beside the first file.
    With ``save_probabilities`` also the mean (``.npz``) and the properties (``.pkl``) are written, the segmentation
    last. ``image_reader_writer`` is a class or an object of one.
    """
    properties = read_pickle((without_ending(list_of_files[0]) or os.fspath(list_of_files[0])) + ".pkl")
    shape = probabilities_shape(list_of_files[0])
    if shape[0] != label_manager.num_segmentation_heads:
        raise LabelsError(
            f"{list_of_files[0]} has {shape[0]} channels, but the labels in dataset.json need "
            f"{label_manager.num_segmentation_heads}; this dataset.json does not belong to this prediction"
        )
    with contextlib.ExitStack() as stack:
        channels = mean_channels(list_of_files)
        if save_probabilities:
            channels = stack.enter_context(saved_on_the_way(channels, output_filename_truncated + NPZ, shape))
        segmentation = _segmentation(channels, label_manager)
    if save_probabilities:
        write_pickle(output_filename_truncated + ".pkl", properties)
    writer = image_reader_writer() if isinstance(image_reader_writer, type) else image_reader_writer
    with written_aside(output_filename_truncated + output_file_ending) as temporary:
        writer.write_seg(segmentation, str(temporary), properties)


def _segmentation(channels, label_manager: LabelManager) -> np.ndarray:
    """Label map (Z, Y, X) from channels of probabilities, by the rules of the export."""
    dtype = label_dtype(label_manager)
    if not follows_stock_rules(label_manager):
        return np.asarray(label_manager.convert_probabilities_to_segmentation(np.stack(list(channels)))).astype(dtype)
    tensors = (torch.from_numpy(channel) for channel in channels)
    if label_manager.has_regions:
        return regions_of_channels(tensors, label_manager.regions_class_order, lambda probability: probability, dtype)
    return labels_of_largest(tensors, label_manager)


def ensemble_folders(
    list_of_input_folders: Sequence[str],
    output_folder: str,
    save_merged_probabilities: bool = False,
    num_processes: int | None = None,
    dataset_json_file_or_dict: PathLike | Mapping | None = None,
    plans_json_file_or_dict: PathLike | Mapping | None = None,
) -> None:
    """Average predictions made with probabilities, case by case, into ``output_folder``.

    Parameters
    ----------
    list_of_input_folders : predictions of the same cases; each case has ``.npz`` (or ``.b2nd``) and ``.pkl``.
    output_folder : gets the segmentations, dataset.json and plans.json.
    save_merged_probabilities : also write the mean as ``.npz`` with ``.pkl``.
    num_processes : cases worked on side by side (in threads); default ``nnUNet_def_n_proc`` or 8.
    dataset_json_file_or_dict, plans_json_file_or_dict : default to the files in the first folder.

    Raises UsageError (an AssertionError) when the folders hold different cases or were made for different labels.
    """
    folders = [os.fspath(folder) for folder in list_of_input_folders]
    dataset_json = document_of(dataset_json_file_or_dict, folders[0], DATASET_JSON)
    plans = document_of(plans_json_file_or_dict, folders[0], PLANS_JSON)
    cases = _common_cases(folders)
    _require_same_labels(folders, dataset_json)
    sources = {case: [existing_file(join(folder, case)) for folder in folders] for case in cases}
    if save_merged_probabilities:
        _require_room(sources, output_folder)
    os.makedirs(output_folder, exist_ok=True)
    remove_remains(output_folder)
    write_json(join(output_folder, DATASET_JSON), dataset_json, sort_keys=False)
    write_json(join(output_folder, PLANS_JSON), plans, sort_keys=False)
    _merge_cases(sources, output_folder, plans, dataset_json, save_merged_probabilities, num_processes)


def _require_room(sources: Mapping[str, Sequence[str]], output_folder: str) -> None:
    """Raise DiskFullError when the means cannot fit: they compress no better than half as well as the best member."""
    needed = sum(min(map(os.path.getsize, files)) for files in sources.values()) // 2
    replaced = sum(os.path.getsize(path) for case in sources if isfile(path := join(output_folder, case + NPZ)))
    require_room(
        *(output_folder, needed - replaced, f"the ensemble of {len(sources)} case(s) with --save_npz"),
        "Make room, choose another disk with -o, or leave --save_npz out",
    )


def ensemble_crossvalidations(
    list_of_trained_model_folders: Sequence[str],
    output_folder: str,
    folds: Sequence[int | str] = (0, 1, 2, 3, 4),
    num_processes: int | None = None,
    overwrite: bool = True,
) -> None:
    """Average the validation predictions of several models into ``output_folder``.

    Every model must have predicted every case with probabilities (``nnUNetv2_train ... --npz``); which fold a case
    belongs to may differ between models. ``overwrite`` empties ``output_folder`` first if an earlier run filled it,
    and raises UsageError if it holds anything else; otherwise segmentations that exist are kept.
    """
    models = [os.fspath(folder) for folder in list_of_trained_model_folders]
    found = [validated_cases(model, folds, NPZ) for model in models]
    cases = sorted(set().union(*found))
    for model, own in zip(models, found):
        missing = [case for case in cases if case not in own]
        if missing:
            raise MissingFileError(
                f"{model} has no probabilities of {len(missing)} cases that other models have: "
                f"{', '.join(missing[:10])}. Use the same folds everywhere, or run nnUNetv2_train ... --val --npz"
            )
    dataset_json = document_of(None, models[0], DATASET_JSON)
    plans = document_of(None, models[0], PLANS_JSON)
    _require_same_labels(models, dataset_json)
    ending = dataset_json["file_ending"]
    remove_remains(output_folder)
    prepare_collection(output_folder, [case + ending for case in cases], ending, overwrite)
    write_json(join(output_folder, DATASET_JSON), dataset_json, sort_keys=False)
    write_json(join(output_folder, PLANS_JSON), plans, sort_keys=False)
    sources = {
        case: [join(own[case], case + NPZ) for own in found]
        for case in cases
        if not isfile(join(output_folder, case + ending))
    }
    _merge_cases(sources, output_folder, plans, dataset_json, False, num_processes)


def _merge_cases(
    sources: Mapping[str, Sequence[str]],
    output_folder: str,
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any],
    save_probabilities: bool,
    num_processes: int | None,
) -> None:
    """Merge all cases in threads: unpacking, averaging and comparing release Python's global lock."""
    plans_manager = PlansManager(plans)
    labels, writer = plans_manager.get_label_manager(dataset_json), plans_manager.image_reader_writer_class
    tasks = [
        (case, (files, join(output_folder, case), dataset_json["file_ending"], writer, labels, save_probabilities))
        for case, files in sources.items()
    ]
    wanted = default_num_processes() if num_processes is None else num_processes
    workers = max(1, min(wanted, available_cpus(), len(tasks)))
    with failed_cases_listed(output_folder, "Ensemble"), ThreadPoolExecutor(workers) as pool:
        map_cases(merge_files, tasks, workers, what="ensemble", executor=pool if workers > 1 else None)


def _common_cases(folders: Sequence[str]) -> list[str]:
    per_folder = []
    for folder in folders:
        if not isdir(folder):
            raise MissingFileError(f"the folder {folder} does not exist")
        names = [(name, end) for end in ENDINGS.values() for name in files_with_ending(folder, end)]
        per_folder.append({name.removesuffix(end) for name, end in names})
    cases = set().union(*per_folder)
    if not cases:
        raise MissingFileError(f"{folders[0]} has no probabilities (.npz, .b2nd); predict with --save_probabilities")
    for folder, own in zip(folders, per_folder):
        if own != cases:
            missing = sorted(cases - own)
            raise UsageError(
                f"{folder} lacks the probabilities of {len(missing)} of {len(cases)} cases: "
                f"{', '.join(missing[:10])}. Predict the same images with --save_probabilities for every member"
            )
    return sorted(cases)


def _require_same_labels(folders: Sequence[str], dataset_json: Mapping[str, Any]) -> None:
    """Raise UsageError when the dataset.json of a folder (if it has one) defines other labels or regions."""
    order = dataset_json.get("regions_class_order")
    expected = (Labels.from_json(dataset_json["labels"], order), order)
    for folder in folders:
        path = join(folder, DATASET_JSON)
        if isfile(path):
            own = read_json(path)
            order = own.get("regions_class_order")
            if (Labels.from_json(own["labels"], order, source=path), order) != expected:
                raise UsageError(
                    f"{path} defines other labels than the first member; only models with the same labels can be "
                    "averaged"
                )
