"""Exporting trained models of a data set into one zip file that others can install."""

from __future__ import annotations

import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from os.path import exists, isdir, join

from nnunetv2.errors import MissingFileError, UsageError
from nnunetv2.inference.model_folder import slim_name
from nnunetv2.model_sharing.export_selection import (
    Folds,
    SharedFile,
    existing_models,
    files_about_inference,
    files_of_ensembles,
    files_of_model,
    needed_for_prediction,
)
from nnunetv2.paths import nnUNet_results
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.records.folders import private_folder
from nnunetv2.records.layout import CHECKPOINT_FINAL, model_identifier
from nnunetv2.records.temporary import remove_remains
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from nnunetv2.training.slim_checkpoint import for_use, is_slim, write_slim
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.disk_space import require_room

logger = logging.getLogger(__name__)

# Weights hardly shrink however hard one tries; the fastest level takes a third of the time of the default.
_COMPRESSION_LEVEL = 1
# Weights in an archive take nine tenths of their size (measured), and at least so much; with Adam two thirds of a
# checkpoint are the optimizer's.
_LEAST_COMPRESSED, _LEAST_WEIGHTS = 0.5, 1 / 3

AddCheckpoint = Callable[[zipfile.ZipFile, str, str], None]


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
    slim: bool = False,
) -> None:
    """Write the models of one trainer and plans for some ``configurations`` of a data set to ``output_file``.

    Parameters
    ----------
    strict : a missing configuration is an error; otherwise it is left out with a warning. Folds must always exist.
    save_checkpoints : file names of the checkpoints to take from every fold.
    export_crossval_predictions : also the segmentations of validation cases (not their probabilities).
    weights_only : leave the state of the optimizer out of the checkpoints: about half the size, good for prediction
        and as pretrained weights, but the training cannot be continued.
    slim : only what prediction reads, with the weights as ``checkpoint_*.safetensors``: the smallest file, without any
        pickle, which only this package installs.
    include_debug : also debug.json, which names the machine and the folders of the training.

    The file is complete or does not appear. Raises MissingFileError for what is missing, UsageError when the file
    exists and is not to be overwritten.
    """
    output_file = os.fspath(output_file)
    if isdir(output_file) or (exists(output_file) and not overwrite_if_exists):
        raise UsageError(f"{output_file} exists already; choose another file, or replace it with --overwrite")
    if not (configurations and folds and save_checkpoints):
        raise UsageError("nothing to export: name at least one configuration (-c), fold (-f) and checkpoint (-chk)")
    if slim and (weights_only or include_debug or export_crossval_predictions):
        raise UsageError(
            "--slim holds weights only, so it does not go with --weights_only, --debug_json, --exp_cv_preds"
        )
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
    if slim:
        files = needed_for_prediction(files)
    _prepare_folder(output_file, files, weights_only or slim)
    _write_archive(
        output_file, dataset_name, files, _add_slim if slim else _add_without_training_state if weights_only else None
    )
    logger.info("%s: %s (%.1f MB)", output_file, ", ".join(models), os.path.getsize(output_file) / 1e6)


def _prepare_folder(output_file: str, files: Sequence[SharedFile], reduced: bool) -> None:
    """Remove what killed exports left where the archive goes. Raises DiskFullError when it is certain not to fit."""
    folder = os.path.dirname(output_file) or "."
    remove_remains(folder)
    checkpoints = sum(os.path.getsize(file.source) for file in files if file.is_checkpoint)
    require_room(
        *(folder, int(checkpoints * (_LEAST_WEIGHTS if reduced else 1) * _LEAST_COMPRESSED), output_file),
        "Make room, choose another disk with -o, or leave the state of the optimizer out with --weights_only or --slim",
    )


def _write_archive(
    output_file: str, dataset_name: str, files: Sequence[SharedFile], add_reduced: AddCheckpoint | None
) -> None:
    """``add_reduced`` puts a checkpoint into the archive in another form; None: all files as they are."""
    with (
        atomic_path(output_file) as temporary,
        zipfile.ZipFile(
            temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION_LEVEL, strict_timestamps=False
        ) as archive,
    ):
        for file in files:
            name = f"{dataset_name}/{file.name}"
            if add_reduced and file.is_checkpoint and not is_slim(file.source):
                add_reduced(archive, file.source, name)
            else:
                archive.write(file.source, name)


def _add_without_training_state(archive: zipfile.ZipFile, checkpoint: str, name: str) -> None:
    with private_folder(_folder_of(archive)) as folder:
        reduced = join(folder, os.path.basename(checkpoint))
        write_checkpoint(reduced, for_use(read_checkpoint(checkpoint), checkpoint))
        archive.write(reduced, name)


def _add_slim(archive: zipfile.ZipFile, checkpoint: str, name: str) -> None:
    with private_folder(_folder_of(archive)) as folder:
        slim = slim_name(join(folder, os.path.basename(checkpoint)))
        write_slim(slim, read_checkpoint(checkpoint), checkpoint)
        archive.write(slim, slim_name(name))


def _folder_of(archive: zipfile.ZipFile) -> str:
    """Where the archive is written: the disk that was found large enough."""
    return os.path.dirname(str(archive.filename)) or "."
