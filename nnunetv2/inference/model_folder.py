"""A trained model on disk: plans.json, dataset.json, and the checkpoints of its folds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile, join
from typing import Any

from nnunetv2.errors import FileContentError, MissingFileError, UsageError
from nnunetv2.records import layout
from nnunetv2.records.dataset_json import require_plain_ending
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.training.checkpoint import match_state_dict_prefixes, read_checkpoint, require_matching_state_dict
from nnunetv2.training.slim_checkpoint import ENDING as SLIM_ENDING

Folds = Sequence[int | str] | int | str | None


@dataclass(frozen=True)
class FoldWeights:
    """What prediction needs of one checkpoint; optimizer state and the rest are dropped on reading."""

    weights: Mapping[str, Any]
    trainer_name: str
    configuration_name: str
    mirroring_axes: tuple[int, ...] | None


def found_checkpoints(model_folder: PathLike) -> dict[str, list[str]]:
    """Fold folders of a model (sorted) to the names of the checkpoints in them."""
    folds = sorted(name for name in os.listdir(model_folder) if name.startswith("fold_"))
    return {
        fold: sorted(name for name in os.listdir(join(model_folder, fold)) if name.endswith((".pth", SLIM_ENDING)))
        for fold in folds
        if isdir(join(model_folder, fold))
    }


def _describe(model_folder: PathLike) -> str:
    found = found_checkpoints(model_folder)
    if not found:
        return "There is no fold_* folder in it"
    return "It has " + "; ".join(f"{fold}: {', '.join(names) or 'no checkpoint'}" for fold, names in found.items())


def detect_folds(model_folder: PathLike, checkpoint_name: str = layout.CHECKPOINT_FINAL) -> list[int]:
    """Numbers of the folds that have this checkpoint, ascending; ``fold_all`` does not count.

    Raises MissingFileError saying which folds and checkpoints exist when there is none.
    """
    _require_folder(model_folder)
    wanted = {checkpoint_name, slim_name(checkpoint_name)}
    names = [fold for fold, checkpoints in found_checkpoints(model_folder).items() if wanted & set(checkpoints)]
    folds = sorted(int(name[len("fold_") :]) for name in names if name[len("fold_") :].isdigit())
    if not folds:
        raise MissingFileError(
            f"{os.fspath(model_folder)} has no numbered fold with {checkpoint_name}. {_describe(model_folder)}. Name a "
            "fold (use_folds, -f) or another checkpoint (checkpoint_name, -chk)"
        )
    return folds


def _require_folder(model_folder: PathLike) -> None:
    if not isdir(model_folder):
        raise MissingFileError(f"the model folder {os.fspath(model_folder)} does not exist; train or install the model")


def selected_folds(
    model_folder: PathLike, folds: Folds, checkpoint_name: str = layout.CHECKPOINT_FINAL
) -> list[int | str]:
    """The folds to use: all numbered ones for None; otherwise as given (a single one may be given bare).

    Raises MissingFileError when one of them lacks the checkpoint, saying which folds and checkpoints exist.
    """
    if folds is None:
        return detect_folds(model_folder, checkpoint_name)
    chosen = [folds] if isinstance(folds, (int, str)) else list(folds)
    if not chosen:
        raise UsageError("no folds were given; name at least one, or None for all that are there")
    _require_folder(model_folder)
    absent = [fold for fold in chosen if not isfile(checkpoint_path(model_folder, fold, checkpoint_name))]
    if absent:
        raise MissingFileError(
            f"{os.fspath(model_folder)} has no {checkpoint_name} of fold {', '.join(map(str, absent))}. "
            f"{_describe(model_folder)}. Choose with -f (use_folds) and -chk (checkpoint_name)"
        )
    return chosen


def checkpoint_path(model_folder: PathLike, fold: int | str, checkpoint_name: str) -> str:
    """Path of one fold's checkpoint; of the slim one of that name where there is no other."""
    path = join(model_folder, layout.fold_folder_name(fold), checkpoint_name)
    slim = slim_name(path)
    return slim if not isfile(path) and isfile(slim) else path


def slim_name(name: str) -> str:
    """The name of a checkpoint as ``--slim`` exports it: ``checkpoint_final.safetensors``."""
    return name.removesuffix(".pth") + SLIM_ENDING if name.endswith(".pth") else name


def read_documents(model_folder: PathLike) -> tuple[dict, dict]:
    """Contents of plans.json and dataset.json.

    Raises DatasetError when the file ending in the latter is none; segmentations are named by it.
    """
    path = join(model_folder, layout.DATASET_JSON)
    plans, dataset_json = read_json(join(model_folder, layout.PLANS_JSON)), read_json(path)
    if not isinstance(dataset_json, Mapping):
        raise FileContentError(f"{path} holds {type(dataset_json).__name__}, not an object with keys")
    if "file_ending" in dataset_json:
        require_plain_ending(dataset_json["file_ending"], path)
    return plans, dataset_json


def read_fold(model_folder: PathLike, fold: int | str, checkpoint_name: str) -> FoldWeights:
    """Weights (on the CPU) and the facts about them from one checkpoint.

    Raises CheckpointError when the file is unreadable, or FileContentError when it holds no trained network.
    """
    path = checkpoint_path(model_folder, fold, checkpoint_name)
    content = read_checkpoint(path)
    missing = [key for key in ("network_weights", "trainer_name", "init_args") if key not in content]
    if missing:
        raise FileContentError(f"{path} has no {', '.join(missing)}; it is not a checkpoint of a trained model")
    axes = content.get("inference_allowed_mirroring_axes")
    arguments = content["init_args"]
    name = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    for what, value in (("trainer_name", content["trainer_name"]), ("init_args.configuration", name)):
        if not isinstance(value, str):
            raise FileContentError(f"{path}: {what} is {value!r}, it must be text; it is not a usable checkpoint")
    if axes is not None and not all(axis in (0, 1, 2) for axis in axes):
        raise FileContentError(f"{path}: inference_allowed_mirroring_axes is {axes!r}, known are 0, 1 and 2")
    return FoldWeights(
        weights=content["network_weights"],
        trainer_name=content["trainer_name"],
        configuration_name=name,
        mirroring_axes=None if axes is None else tuple(int(axis) for axis in axes),
    )


def weights_for(network: Any, weights: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    """``weights`` under the names ``network`` uses (without prefixes of wrappers).

    Raises CheckpointError naming ``source`` and the differences when names or shapes do not fit.
    """
    expected = network.state_dict()
    matched = match_state_dict_prefixes(weights, expected)
    require_matching_state_dict(matched, expected, source)
    return matched
