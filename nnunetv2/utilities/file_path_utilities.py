"""Names of model folders, folds and ensembles, and back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.pool import AsyncResult
from os.path import join
from typing import Any

from nnunetv2.errors import UsageError, WorkerError
from nnunetv2.paths import nnUNet_results
from nnunetv2.records import layout
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name


def convert_trainer_plans_config_to_identifier(trainer_name: str, plans_identifier: str, configuration: str) -> str:
    """Name of the model folder: ``trainer__plans__configuration``."""
    return layout.model_identifier(trainer_name, plans_identifier, configuration)


def convert_identifier_to_trainer_plans_config(identifier: str) -> tuple[str, str, str]:
    """Trainer, plans and configuration from a model folder (name or path). Raises UsageError for another shape."""
    parts = os.path.basename(os.path.normpath(identifier)).split("__")
    if len(parts) != 3:
        raise UsageError(f"{identifier!r} is not a model folder; these are named TRAINER__PLANS__CONFIGURATION")
    return parts[0], parts[1], parts[2]


def get_output_folder(
    dataset_name_or_id: str | int,
    trainer_name: str = "nnUNetTrainer",
    plans_identifier: str = "nnUNetPlans",
    configuration: str = "3d_fullres",
    fold: str | int | None = None,
) -> str:
    """Folder of a trained model below ``nnUNet_results``, or of one of its folds."""
    folder = join(
        nnUNet_results,
        maybe_convert_to_dataset_name(dataset_name_or_id),
        layout.model_identifier(trainer_name, plans_identifier, configuration),
    )
    return folder if fold is None else join(folder, layout.fold_folder_name(fold))


def parse_dataset_trainer_plans_configuration_from_path(path: str) -> tuple[str, str, str, str] | None:
    """Data set, trainer, plans and configuration from a path into a model folder.

    A part starting with ``fold_`` settles the position; without one, the first part starting with ``Dataset`` does.
    None when no data set is found there; UsageError (an AssertionError) when the folder's name has not three pieces.
    """
    parts = os.path.normpath(path).split(os.sep)
    folds = [i for i, part in enumerate(parts) if part.startswith("fold_")]
    if folds:
        position = folds[0] - 2
        if position < 0 or not parts[position].startswith("Dataset"):
            return None
    else:
        datasets = [i for i, part in enumerate(parts) if part.startswith("Dataset")]
        if not datasets or datasets[0] + 1 >= len(parts):
            return None
        position = datasets[0]
    return parts[position], *convert_identifier_to_trainer_plans_config(parts[position + 1])


def get_ensemble_name(model1_folder: str, model2_folder: str, folds: Sequence[int | str]) -> str:
    """Name of the ensemble of two models: ``ensemble___<model>___<model>___<folds>``."""
    first, second = (os.path.basename(os.path.normpath(folder)) for folder in (model1_folder, model2_folder))
    return f"ensemble___{first}___{second}___{folds_tuple_to_string(folds)}"


def convert_ensemble_folder_to_model_identifiers_and_folds(ensemble_folder: str) -> tuple[list[str], str]:
    """The model identifiers and the text of the folds from the name of an ensemble folder."""
    prefix, *models, folds = os.path.basename(os.path.normpath(ensemble_folder)).split("___")
    if prefix != "ensemble" or not models:
        raise UsageError(f"{ensemble_folder!r} is not an ensemble folder")
    return models, folds


def folds_tuple_to_string(folds: Sequence[int | str]) -> str:
    """``(0, 1, "all")`` to ``"0_1_all"``."""
    return "_".join(str(fold) for fold in folds)


def folds_string_to_tuple(folds_string: str) -> list[int | str]:
    """``"0_1_all"`` to ``[0, 1, "all"]``."""
    return [int(fold) if fold.isdigit() else fold for fold in folds_string.split("_")]


def check_workers_alive_and_busy(
    export_pool: Any, worker_list: Sequence[Any], results_list: Sequence[AsyncResult], allowed_num_queued: int = 0
) -> bool:
    """Whether at least ``len(worker_list) + allowed_num_queued`` results are still pending.

    Raises WorkerError (a RuntimeError) when one of the original workers is dead: a pool replaces it without a word.
    """
    if not all(worker.is_alive() for worker in worker_list):
        raise WorkerError("a background worker was killed, most likely for lack of memory; use fewer processes")
    pending = sum(not result.ready() for result in results_list)
    return pending >= len(worker_list) + allowed_num_queued
