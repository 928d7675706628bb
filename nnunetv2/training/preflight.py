"""What can be known to be wrong before training starts, so that nobody learns it hours later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os.path import isdir, isfile, join
from typing import TYPE_CHECKING, Any

import torch

from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.records.dataset_json import require_plain_ending
from nnunetv2.records.files import read_json
from nnunetv2.records.labels import require_visible_regions
from nnunetv2.records.layout import DATASET_JSON, FINGERPRINT_JSON, plans_file
from nnunetv2.records.plans import plans_title
from nnunetv2.training.preprocessed_data import require_fitting_data

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def read_plans_and_dataset_json(dataset_name: str, plans_name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Plans and dataset.json from the preprocessed folder of ``dataset_name``.

    Raises EnvironmentVariableError, or MissingFileError naming the command that makes what is missing.
    """
    folder = join(nnUNet_preprocessed.require(), dataset_name)
    number = _number(dataset_name)
    if not isdir(folder):
        raise MissingFileError(
            f"{folder} does not exist: {dataset_name} was neither planned nor preprocessed. "
            f"Run nnUNetv2_plan_and_preprocess -d {number} first"
        )
    path = plans_file(folder, plans_name)
    if not isfile(path):
        others = sorted(name[: -len(".json")] for name in os.listdir(folder) if name.endswith("Plans.json"))
        raise MissingFileError(
            f"{path} does not exist. Plans there: {', '.join(others) or 'none'}. Choose one with -p, or run "
            f"nnUNetv2_plan_experiment -d {number}"
        )
    dataset_json = read_json(join(folder, DATASET_JSON))
    if isinstance(dataset_json, Mapping) and "file_ending" in dataset_json:
        require_plain_ending(dataset_json["file_ending"], join(folder, DATASET_JSON))
    return read_json(path), dataset_json


def check_preprocessed_folder(
    folder: str | None, plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any] | None = None
) -> None:
    """Raise a DatasetError unless ``folder`` holds preprocessed cases; the message says which command makes them.

    With ``dataset_json`` the cases must also have been made with the settings in the plans. ``folder`` is None while
    nnUNet_preprocessed is unset, which raises EnvironmentVariableError.
    """
    if folder is None:
        folder = join(nnUNet_preprocessed.require(), plans["dataset_name"])
    command = (
        f"nnUNetv2_preprocess -d {_number(plans['dataset_name'])} -plans_name {plans['plans_name']} -c {configuration}"
    )
    if not isdir(folder):
        raise MissingFileError(
            f"{folder} does not exist: {plans['dataset_name']} is not preprocessed for {configuration}. Run {command}"
        )
    if not any(name.endswith((".b2nd", ".npz")) for name in os.listdir(folder)):
        raise DatasetError(f"{folder} holds no preprocessed case. Run {command}")
    if dataset_json is not None:
        require_fitting_data(folder, plans, configuration, dataset_json, command)


def check_preprocessed(trainer: nnUNetTrainer, made_for_plans: bool = False) -> None:
    """``check_preprocessed_folder`` for a trainer; with ``made_for_plans`` also what the cases were made with."""
    check_preprocessed_folder(
        trainer.preprocessed_dataset_folder,
        trainer.plans_manager.plans,
        trainer.configuration_name,
        trainer.dataset_json if made_for_plans else None,
    )


def check_before_training(trainer: nnUNetTrainer) -> None:
    """``check_preprocessed`` and ``check_labels``, and that the fingerprint is there, which the model folder gets."""
    check_labels(trainer)
    check_preprocessed(trainer, made_for_plans=True)
    fingerprint = join(str(trainer.preprocessed_dataset_folder_base), FINGERPRINT_JSON)
    if not isfile(fingerprint):
        raise MissingFileError(
            f"{fingerprint} does not exist, but belongs to every trained model. Copy it from where the data set was "
            f"planned, or run nnUNetv2_extract_fingerprint -d {_number(trainer.plans_manager.dataset_name)}"
        )


def check_labels(trainer: nnUNetTrainer) -> None:
    """Raise LabelsError for regions that could never be seen."""
    labels = trainer.label_manager
    if labels.has_regions:
        require_visible_regions(labels.label_dict, labels.regions_class_order)


def _number(dataset_name: str) -> str:
    """What ``-d`` takes: ``4`` for ``Dataset004_Hippocampus``."""
    return dataset_name.removeprefix("Dataset").split("_")[0].lstrip("0") or "0"


def check_cases_of_fold(train: Sequence[str], val: Sequence[str], fold: int | str, folder: str) -> None:
    """Raise DatasetError when a fold has nothing to train on or nothing to validate with."""
    for purpose, cases in (("train on", train), ("validate with", val)):
        if not cases:
            raise DatasetError(f"fold {fold} has no case to {purpose}; check splits_final.json beside {folder}")


def check_previous_stage(trainer: nnUNetTrainer, cases: Sequence[str]) -> None:
    """Raise MissingFileError, naming the commands, unless the previous stage of a cascade has segmented ``cases``.

    Does nothing for trainings without a previous stage.
    """
    folder = trainer.folder_with_segs_from_previous_stage
    if folder is None:
        return
    found = {name.rsplit(".", 1)[0] for name in os.listdir(folder)} if isdir(folder) else set()
    absent = sorted(set(cases) - found)
    if not absent:
        return
    plans, stage = trainer.plans_manager, trainer.configuration_manager.previous_stage_name
    command = (
        f"nnUNetv2_train {_number(plans.dataset_name)} {stage} FOLD "
        f"-tr {type(trainer).__name__}{trainer.training_options.suffix} -p {plans.plans_name}"
    )
    raise MissingFileError(
        f"{folder} lacks the segmentations of {len(absent)} case(s) that {trainer.configuration_name} takes as input: "
        f"{', '.join(absent[:10])}{' ...' if len(absent) > 10 else ''}. The final validation of each fold of {stage} "
        f"writes those of its cases: run {command} for all folds, with --val for those trained already"
    )


def check_device(device: torch.device) -> None:
    """Raise UsageError when ``device`` does not exist on this machine."""
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "the device is cuda, but torch sees no CUDA device here. Train with -device cpu (slow), or check "
            "the driver, CUDA_VISIBLE_DEVICES, and that a CUDA build of torch is installed"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("the device is mps, but torch sees none here. Use -device cpu or cuda")


def configuration_title(plans: Mapping[str, Any], configuration: str) -> str:
    """How errors name a configuration of some plans."""
    return f"{plans_title(plans)}, configuration {configuration}"
