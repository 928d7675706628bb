"""The folders and files a training writes beside its checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import join
from typing import TYPE_CHECKING, Any

from nnunetv2.paths import nnUNet_preprocessed, nnUNet_results
from nnunetv2.records.files import copy_file, write_json
from nnunetv2.records.layout import (
    DATASET_JSON,
    FINGERPRINT_JSON,
    PLANS_JSON,
    VALIDATION,
    fold_folder_name,
    model_identifier,
    next_stage_folder,
)
from nnunetv2.records.temporary import remove_remains
from nnunetv2.training.room_for_checkpoints import require_room_for_checkpoints
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

CITATION = (
    "If you use nnU-Net in your work, please cite:\n"
    "F. Isensee, P. F. Jaeger, S. A. A. Kohl, J. Petersen, K. H. Maier-Hein: nnU-Net: a self-configuring method for\n"
    "deep learning-based biomedical image segmentation. Nature Methods 18, 203-211 (2021)."
)


def citation_banner() -> str:
    """The request for citation between two lines of number signs."""
    line = "#" * 71
    return f"\n{line}\n{CITATION}\n{line}\n"


@dataclass(frozen=True, kw_only=True)
class TrainerFolders:
    """Where one training reads and writes."""

    preprocessed_base: str | None
    """``$nnUNet_preprocessed/<dataset>``; None while the variable is unset."""
    preprocessed: str | None
    """The cases of the configuration, below it."""
    model: str
    """``$nnUNet_results/<dataset>/<trainer>__<plans>__<configuration>``."""
    fold: str
    """``fold_<k>`` below it."""
    previous_stage: str | None
    """Segmentations of the previous stage of a cascade; None without one."""


def trainer_folders(trainer: str, plans_manager: PlansManager, configuration: str, fold: int | str) -> TrainerFolders:
    """Folders for a trainer class name. Raises EnvironmentVariableError while nnUNet_results is unset.

    The previous stage is taken to be trained by the same trainer class with the same plans.
    """
    dataset, plans = plans_manager.dataset_name, plans_manager.plans_name
    conf = plans_manager.get_configuration(configuration)
    base = join(nnUNet_preprocessed.require(), dataset) if nnUNet_preprocessed.is_set() else None
    results = join(nnUNet_results.require(), dataset)
    model = join(results, model_identifier(trainer, plans, configuration))
    previous = conf.previous_stage_name
    return TrainerFolders(
        preprocessed_base=base,
        preprocessed=None if base is None else join(base, conf.data_identifier),
        model=model,
        fold=join(model, fold_folder_name(fold)),
        previous_stage=None
        if previous is None
        else next_stage_folder(join(results, model_identifier(trainer, plans, previous)), configuration),
    )


def log_file_name() -> str:
    """``training_log_<year>_<month>_<day>_<HH>_<MM>_<SS>.txt``, month and day without leading zero."""
    now = time.localtime()
    clock = time.strftime("%H_%M_%S", now)
    return f"training_log_{now.tm_year}_{now.tm_mon}_{now.tm_mday}_{clock}.txt"


def prepare_folders(trainer: nnUNetTrainer) -> None:
    """Unpack the preprocessed cases where their format needs it, and describe the model; only on the first rank.

    What killed trainings left there is removed. Raises DiskFullError when the checkpoints cannot fit.
    """
    if trainer.local_rank != 0:
        return
    os.makedirs(trainer.output_folder, exist_ok=True)
    remove_remains(trainer.output_folder_base, trainer.output_folder, join(trainer.output_folder, VALIDATION))
    require_room_for_checkpoints(trainer)
    folder, base = trainer.preprocessed_dataset_folder, trainer.preprocessed_dataset_folder_base
    processes = max(1, get_allowed_n_proc_DA() // 2)
    trainer._dataset_class().unpack_dataset(folder, overwrite_existing=False, num_processes=processes, verify=True)
    write_model_description(trainer.output_folder_base, base, trainer.plans_manager.plans, trainer.dataset_json)


def write_model_description(
    model: str, preprocessed_base: str, plans: Mapping[str, Any], dataset_json: Mapping[str, Any]
) -> None:
    """Write plans.json and dataset.json (key order kept) and copy the fingerprint into the model folder."""
    write_json(join(model, PLANS_JSON), plans, sort_keys=False)
    write_json(join(model, DATASET_JSON), dataset_json, sort_keys=False)
    copy_file(join(preprocessed_base, FINGERPRINT_JSON), join(model, FINGERPRINT_JSON))
