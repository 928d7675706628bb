"""Choosing the files of trained models that go into an archive."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from os.path import basename, isdir, isfile, join
from typing import NamedTuple

from nnunetv2.errors import MissingFileError, UsageError
from nnunetv2.inference.model_folder import checkpoint_path, selected_folds
from nnunetv2.model_sharing.archive_layout import (
    CHECKPOINT_ENDINGS,
    CROSSVAL_RESULTS_PREFIX,
    ENSEMBLES,
    INFERENCE_FILES,
    RESULT_FILES,
    is_model_file,
)
from nnunetv2.records import layout
from nnunetv2.utilities.file_path_utilities import (
    convert_ensemble_folder_to_model_identifiers_and_folds,
    folds_tuple_to_string,
)

logger = logging.getLogger(__name__)

Folds = Sequence[int | str]


class SharedFile(NamedTuple):
    """One file of an archive."""

    source: str
    name: str
    """Path below the data set's folder, with ``/``."""

    @property
    def is_checkpoint(self) -> bool:
        """Whether it holds weights."""
        return self.name.endswith(CHECKPOINT_ENDINGS)


def existing_models(dataset_folder: str, identifiers: Sequence[str], strict: bool) -> list[str]:
    """Those of the model folders ``identifiers`` that exist.

    Raises MissingFileError when one is missing and ``strict``, or when all are; the message lists the models there are.
    """
    missing = [name for name in identifiers if not isdir(join(dataset_folder, name))]
    found = [name for name in identifiers if name not in missing]
    if missing and (strict or not found):
        present = sorted(n for n in _folders_in(dataset_folder) if "__" in n)
        raise MissingFileError(
            f"{dataset_folder} has no {', '.join(missing)}; trained are: {', '.join(present) or 'none'}. Name the "
            "configurations with -c, the trainer with -tr and the plans with -p"
            + (", or skip those that are missing with --not_strict" if found else "")
        )
    for name in missing:
        logger.warning("%s does not exist in %s and is left out", name, dataset_folder)
    return found


def files_of_model(
    dataset_folder: str,
    model: str,
    folds: Folds,
    checkpoints: Sequence[str],
    with_predictions: bool = False,
    with_debug: bool = False,
) -> list[SharedFile]:
    """Files of one model folder: documents, the ``folds`` with their ``checkpoints``, cross-validation results.

    Raises MissingFileError naming what is there when a fold, a checkpoint, plans.json or dataset.json is missing.
    """
    folder = join(dataset_folder, model)
    for checkpoint in checkpoints:
        selected_folds(folder, folds, checkpoint)
    names = [_required(folder, layout.PLANS_JSON), _required(folder, layout.DATASET_JSON)]
    names += _optional(folder, layout.FINGERPRINT_JSON)
    for fold in folds:
        part = layout.fold_folder_name(fold)
        names += [f"{part}/{basename(checkpoint_path(folder, fold, checkpoint))}" for checkpoint in checkpoints]
        names += _optional(folder, f"{part}/{layout.PROGRESS_PNG}")
        names += _if_there(folder, f"{part}/network_architecture.pdf")
        names += _if_there(folder, f"{part}/{layout.DEBUG_JSON}") if with_debug else []
        validation = f"{part}/{layout.VALIDATION}"
        names += (
            _results_in(folder, validation)
            if with_predictions
            else _optional(folder, f"{validation}/{layout.SUMMARY_JSON}")
        )
    names += _result_files(folder, CROSSVAL_RESULTS_PREFIX + folds_tuple_to_string(folds), with_predictions)
    return _below(dataset_folder, [f"{model}/{name}" for name in names])


def files_of_ensembles(dataset_folder: str, models: Sequence[str], with_predictions: bool = False) -> list[SharedFile]:
    """Files of the ensembles all of whose members are among ``models``; the folds do not matter."""
    names: list[str] = []
    for ensemble in sorted(_folders_in(join(dataset_folder, ENSEMBLES))):
        try:
            members, _ = convert_ensemble_folder_to_model_identifiers_and_folds(ensemble)
        except UsageError:
            continue  # something else lies there
        if set(members) <= set(models):
            names += _result_files(dataset_folder, f"{ENSEMBLES}/{ensemble}", with_predictions)
    return _below(dataset_folder, names)


def needed_for_prediction(files: Sequence[SharedFile]) -> list[SharedFile]:
    """Those of ``files`` that predicting and post-processing read; pickles only where there is no JSON."""
    names = {file.name for file in files}
    kept = (layout.PLANS_JSON, layout.DATASET_JSON, layout.POSTPROCESSING_JSON, *INFERENCE_FILES)

    def needed(file: SharedFile) -> bool:
        folder, _, name = file.name.rpartition("/")
        lonely_pickle = name == layout.POSTPROCESSING_PKL and f"{folder}/{layout.POSTPROCESSING_JSON}" not in names
        return file.is_checkpoint or name in kept or lonely_pickle

    return [file for file in files if needed(file)]


def files_about_inference(dataset_folder: str) -> list[SharedFile]:
    """What find_best_configuration wrote about the models of the data set."""
    return _below(dataset_folder, [name for name in INFERENCE_FILES if isfile(join(dataset_folder, name))])


def _below(dataset_folder: str, names: Sequence[str]) -> list[SharedFile]:
    foreign = [name for name in names if not is_model_file(name)]
    if foreign:
        raise UsageError(
            f"{', '.join(foreign)} could not be installed from an archive again; checkpoints need the ending .pth, and "
            "model folders names of the form TRAINER__PLANS__CONFIGURATION"
        )
    return [SharedFile(join(dataset_folder, *name.split("/")), name) for name in names]


def _required(folder: str, name: str) -> str:
    if not isfile(join(folder, name)):
        raise MissingFileError(f"{join(folder, name)} does not exist; without it nobody can use the model")
    return name


def _optional(folder: str, name: str) -> list[str]:
    found = _if_there(folder, name)
    if not found:
        logger.warning("%s does not exist and is left out", join(folder, name))
    return found


def _if_there(folder: str, name: str) -> list[str]:
    return [name] if isfile(join(folder, name)) else []


def _result_files(folder: str, part: str, with_predictions: bool) -> list[str]:
    if with_predictions:
        return _results_in(folder, part)
    return [name for result in RESULT_FILES for name in _if_there(folder, f"{part}/{result}")]


def _results_in(folder: str, part: str) -> list[str]:
    """Segmentations and documents in a results folder; probabilities and other pickles stay here."""
    return sorted(name for name in _files_below(folder, part) if is_model_file(_as_part_of_model(name)))


def _as_part_of_model(name: str) -> str:
    return name if name.startswith(f"{ENSEMBLES}/") else f"t__p__c/{name}"


def _files_below(folder: str, part: str) -> Iterator[str]:
    for parent, _, files in os.walk(join(folder, part)):
        for name in files:
            yield os.path.relpath(join(parent, name), folder).replace(os.sep, "/")


def _folders_in(folder: str) -> list[str]:
    return [entry.name for entry in os.scandir(folder) if entry.is_dir()] if isdir(folder) else []
