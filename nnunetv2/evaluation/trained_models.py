"""A trained model as a candidate for selection: where it lies, what of it is missing, and how to get that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile, join
from typing import Any

from nnunetv2.evaluation.crossval_folders import validation_folder
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.records.files import read_json
from nnunetv2.records.layout import (
    CHECKPOINT_FINAL,
    CHECKPOINT_LATEST,
    DATASET_JSON,
    PLANS_JSON,
    files_with_ending,
    fold_folder_name,
    model_identifier,
    next_stage_folder,
    plans_file,
)
from nnunetv2.records.plans import resolve_configuration
from nnunetv2.utilities.file_path_utilities import get_output_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """Trainer, plans and configuration for one data set (its full name)."""

    dataset: str
    trainer: str
    plans: str
    configuration: str

    @property
    def identifier(self) -> str:
        """Name of the model folder."""
        return model_identifier(self.trainer, self.plans, self.configuration)

    @property
    def folder(self) -> str:
        """The model folder below ``nnUNet_results``; it need not exist."""
        return get_output_folder(self.dataset, self.trainer, self.plans, self.configuration)

    @property
    def considered(self) -> dict[str, str]:
        """How inference_information.json lists the models it compared."""
        return {"plans": self.plans, "configuration": self.configuration, "trainer": self.trainer}

    @property
    def selected(self) -> dict[str, str]:
        """How inference_information.json names the models it chose."""
        return {"configuration": self.configuration, "trainer": self.trainer, "plans_identifier": self.plans}

    def planned(self) -> dict[str, Any] | None:
        """The plans in the preprocessed folder, else those in the model folder, else None."""
        preprocessed = nnUNet_preprocessed.get()
        files = [plans_file(join(preprocessed, self.dataset), self.plans)] if preprocessed else []
        found = next((file for file in [*files, join(self.folder, PLANS_JSON)] if isfile(file)), None)
        return None if found is None else read_json(found)

    def previous_stage(self) -> TrainedModel | None:
        """The model whose segmentations this one needs (cascade); None without one."""
        plans = self.planned()
        if plans is None:
            logger.warning(
                "no plans %s of %s were found, so %s is taken for a configuration without previous stage",
                *(self.plans, self.dataset, self.configuration),
            )
            return None
        name = resolve_configuration(plans, self.configuration).get("previous_stage")
        if name is None:
            return None
        return TrainedModel(dataset=self.dataset, trainer=self.trainer, plans=self.plans, configuration=name)

    def train_command(self, fold: int | str, *flags: str) -> str:
        """The command that trains or validates one fold."""
        parts = ["nnUNetv2_train", self.dataset, self.configuration, str(fold), "-tr", self.trainer, "-p", self.plans]
        return " ".join([*parts, *flags])

    def missing(self, folds: Sequence[int | str]) -> list[str]:
        """One sentence with a command for everything that the comparison needs and that does not exist."""
        if isdir(self.folder):
            absent = [name for name in (DATASET_JSON, PLANS_JSON) if not isfile(join(self.folder, name))]
            if absent:
                return [f"{join(self.folder, absent[0])} does not exist; copy it from the preprocessed data set"]
        problems = [problem for fold in folds if (problem := self._missing_fold(fold))]
        previous = self.previous_stage() if problems else None
        if previous is not None and not isdir(next_stage_folder(previous.folder, self.configuration)):
            problems.insert(
                0,
                f"it needs the segmentations of {previous.configuration}: first train and validate all folds of that, "
                f"such as {previous.train_command(0, '--npz')}",
            )
        return problems

    def _missing_fold(self, fold: int | str) -> str | None:
        if _predictions(self.folder, fold):
            return None
        folder = join(self.folder, fold_folder_name(fold))
        if isfile(join(folder, CHECKPOINT_FINAL)):
            return f"fold {fold} is trained but not validated: {self.train_command(fold, '--val', '--npz')}"
        if isfile(join(folder, CHECKPOINT_LATEST)):
            return f"fold {fold} is not trained to the end: {self.train_command(fold, '--c', '--npz')}"
        return f"fold {fold} is not trained: {self.train_command(fold, '--npz')}"

    def missing_probabilities(self, folds: Sequence[int | str]) -> list[str]:
        """The command for every fold whose validation lacks probabilities (.npz), which ensembles need."""
        commands = []
        for fold in folds:
            names = files_with_ending(validation_folder(self.folder, fold), ".npz")
            if _predictions(self.folder, fold) - {name.removesuffix(".npz") for name in names}:
                commands.append(self.train_command(fold, "--val", "--npz"))
        return commands


def _predictions(model_folder: str, fold: int | str) -> set[str]:
    """Cases with a segmentation in the validation of a fold."""
    folder = validation_folder(model_folder, fold)
    if not isdir(folder):
        return set()
    ending = read_json(join(model_folder, DATASET_JSON))["file_ending"]
    return {name.removesuffix(ending) for name in files_with_ending(folder, ending)}


def planned_models(dataset: str, entries: Sequence[Mapping[str, Any]]) -> list[TrainedModel]:
    """The models among ``entries`` (dictionaries with plans, configuration, trainer) whose configuration is planned.

    Others are left out with a message: default lists name configurations that many data sets do not have.
    """
    models = []
    for entry in entries:
        model = TrainedModel(
            dataset=dataset, trainer=entry["trainer"], plans=entry["plans"], configuration=entry["configuration"]
        )
        plans = model.planned()
        if plans is None:
            logger.warning(
                "%s is left out: there are no plans %s of %s. Make them with nnUNetv2_plan_experiment",
                *(model.identifier, model.plans, dataset),
            )
        elif model.configuration not in plans["configurations"]:
            logger.info("%s is left out: %s does not plan %s", model.identifier, model.plans, model.configuration)
        else:
            models.append(model)
    return models
