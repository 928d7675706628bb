"""Exporting trained models of a data set into one zip file that others can install."""

from __future__ import annotations

import logging
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from os.path import exists, isdir, join
from typing import Any

from nnunetv2.errors import FileContentError, MissingFileError, UsageError
from nnunetv2.model_sharing.export_selection import (
    Folds,
    SharedFile,
    existing_models,
    files_about_inference,
    files_of_ensembles,
    files_of_model,
)
from nnunetv2.paths import nnUNet_results
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.layout import CHECKPOINT_FINAL, model_identifier
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

logger = logging.getLogger(__name__)

# Weights hardly shrink however hard one tries; the fastest level takes a third of the time of the default.
_COMPRESSION_LEVEL = 1
# What prediction and -pretrained_weights read; the rest serves to go on training.
_KEYS_FOR_USE = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")


def export_pretrained_model(
    dataset_name_or_id: int | str,
    output_file: PathLike,
    configurations: Sequence[str] = ("3d_lowres", "3d_fullres", "2d", "3d_cascade_fullres"),
    trainer: str = "nnUNetTrainer",
    plans_identifier: str = "nnUNetPlans",
    folds: Folds = (0, 1, 2, 3, 4),
    strict: bool = True,
    save_checkpoints: Sequence[str] = (CHECKPOINT_FINAL,),
    overwrite_if_exists: bool = False,
    export_crossval_predictions: bool = False,
    *,
    weights_only: bool = False,
    include_debug: bool = False,
) -> None:
    """Write the models of one trainer and plans for some ``configurations`` of a data set to ``output_file``.

    Parameters
    ----------
    strict : a missing configuration is an error; otherwise it is left out with a warning. Folds must always exist.
    save_checkpoints : file names of the checkpoints to take from every fold.
    export_crossval_predictions : also the segmentations of validation cases (not their probabilities).
    weights_only : leave the state of the optimizer out of the checkpoints: about half the size, good for prediction
        and as pretrained weights, but the training cannot be continued.
    include_debug : also debug.json, which names the machine and the folders of the training.

    The file is complete or does not appear. Raises MissingFileError for what is missing, UsageError when the file
    exists and is not to be overwritten.
    """
    output_file = os.fspath(output_file)
    if isdir(output_file) or (exists(output_file) and not overwrite_if_exists):
        raise UsageError(f"{output_file} exists already; choose another file, or replace it with --overwrite")
    if not (configurations and folds and save_checkpoints):
        raise UsageError("nothing to export: name at least one configuration (-c), fold (-f) and checkpoint (-chk)")
    dataset_name = str(maybe_convert_to_dataset_name(dataset_name_or_id))
    folder = join(nnUNet_results, dataset_name)
    if not isdir(folder):
        raise MissingFileError(f"{folder} does not exist: data set {dataset_name} has no trained model")
    identifiers = [model_identifier(trainer, plans_identifier, name) for name in dict.fromkeys(configurations)]
    models = existing_models(folder, identifiers, strict)
    files: list[SharedFile] = []
    for model in models:
        files += files_of_model(
            folder, model, folds, save_checkpoints, export_crossval_predictions, with_debug=include_debug
        )
    files += files_of_ensembles(folder, models, export_crossval_predictions) + files_about_inference(folder)
    _write_archive(output_file, dataset_name, files, weights_only)
    logger.info("%s: %s (%.1f MB)", output_file, ", ".join(models), os.path.getsize(output_file) / 1e6)


def _write_archive(output_file: str, dataset_name: str, files: Sequence[SharedFile], weights_only: bool) -> None:
    with (
        atomic_path(output_file) as temporary,
        zipfile.ZipFile(
            temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL, strict_timestamps=False
        ) as archive,
    ):
        for file in files:
            name = f"{dataset_name}/{file.name}"
            if weights_only and file.is_checkpoint:
                _add_without_training_state(archive, file.source, name)
            else:
                archive.write(file.source, name)


def _add_without_training_state(archive: zipfile.ZipFile, checkpoint: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reduced = join(folder, os.path.basename(checkpoint))
        write_checkpoint(reduced, for_use(read_checkpoint(checkpoint), checkpoint))
        archive.write(reduced, name)


def for_use(checkpoint: Mapping[str, Any], source: PathLike) -> dict[str, Any]:
    """The entries of a checkpoint that prediction and fine-tuning need.

    Raises FileContentError naming ``source`` when one is missing.
    """
    missing = [key for key in _KEYS_FOR_USE if key not in checkpoint]
    if missing:
        raise FileContentError(
            f"{os.fspath(source)} has no {', '.join(missing)}; it is no checkpoint of a trained model"
        )
    return {key: checkpoint[key] for key in _KEYS_FOR_USE}
