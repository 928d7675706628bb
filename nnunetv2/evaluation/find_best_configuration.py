"""Compare the cross-validations of several models and of their ensembles, and say how to use the best one."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import join, relpath
from pathlib import PurePath
from typing import Any

from nnunetv2.ensembling.ensemble import ensemble_crossvalidations
from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.evaluation.accumulate_cv_results import accumulate_cv_results
from nnunetv2.evaluation.folder_summaries import current_summary, mean_of_defined_dice, reference_folder
from nnunetv2.evaluation.inference_instructions import generate_inference_command, print_inference_instructions
from nnunetv2.evaluation.trained_models import TrainedModel, planned_models
from nnunetv2.paths import nnUNet_results
from nnunetv2.postprocessing.remove_connected_components import determine_postprocessing
from nnunetv2.records.files import read_json, write_json
from nnunetv2.records.layout import (
    DATASET_JSON,
    ENSEMBLES,
    INFERENCE_INFORMATION_JSON,
    INFERENCE_INSTRUCTIONS_TXT,
    PLANS_JSON,
    POSTPROCESSING_JSON,
    POSTPROCESSING_PKL,
    crossval_results_folder_name,
    files_with_ending,
)
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.file_path_utilities import get_ensemble_name
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

__all__ = [
    "default_trained_models",
    "dumb_trainer_config_plans_to_trained_models_dict",
    "find_best_configuration",
    "generate_inference_command",
    "print_inference_instructions",
]

logger = logging.getLogger(__name__)


def dumb_trainer_config_plans_to_trained_models_dict(
    trainers: Sequence[str], configs: Sequence[str], plans: Sequence[str]
) -> tuple[dict[str, str], ...]:
    """All combinations as dictionaries with plans, configuration and trainer; plans change fastest, trainers last."""
    return tuple(
        {"plans": plan, "configuration": configuration, "trainer": trainer}
        for trainer, configuration, plan in itertools.product(trainers, configs, plans)
    )


default_trained_models = dumb_trainer_config_plans_to_trained_models_dict(
    ("nnUNetTrainer",), ("2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"), ("nnUNetPlans",)
)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The cross-validation of one model, or of an ensemble of two, in a folder of its own."""

    name: str
    models: tuple[TrainedModel, ...]
    folder: str
    summary: Mapping[str, Any]

    @property
    def score(self) -> float:
        """Foreground mean Dice; NaN when a label occurs in no case."""
        return self.summary["foreground_mean"]["Dice"]

    @property
    def cases(self) -> frozenset[str]:
        """Names of the predicted files."""
        return frozenset(PurePath(case["prediction_file"]).name for case in self.summary["metric_per_case"])


def find_best_configuration(
    dataset_name_or_id: int | str,
    allowed_trained_models: Sequence[Mapping[str, str]] = default_trained_models,
    allow_ensembling: bool = True,
    num_processes: int | None = None,
    overwrite: bool = True,
    folds: Sequence[int | str] = (0, 1, 2, 3, 4),
    strict: bool = False,
) -> dict[str, Any]:
    """Find the model, or the ensemble of two models, with the highest mean Dice in the cross-validation.

    Its postprocessing is determined as well. Writes ``inference_information.json`` (paths relative to its folder) and
    ``inference_instructions.txt`` below ``nnUNet_results/<data set>``, prints the instructions, and returns the
    information with absolute paths.

    Parameters
    ----------
    allowed_trained_models : dictionaries with ``plans``, ``configuration`` and ``trainer``. Configurations that are not
        planned are left out.
    allow_ensembling : also average every pair of models; needs validation with ``--npz``.
    overwrite : collect and evaluate anew; otherwise results that are up to date are used.
    folds : numbers, or "all".
    strict : raise MissingFileError (a RuntimeError) when a planned model is incomplete. Otherwise it is left out, with
        a message how to complete it; only when none is left this is an error.
    """
    dataset = str(maybe_convert_to_dataset_name(dataset_name_or_id))
    folds = list(folds)
    models = _complete_models(planned_models(dataset, allowed_trained_models), folds, strict)
    results = [_result_of_model(model, folds, num_processes, overwrite) for model in models]
    _warn_of_different_cases(results)
    if allow_ensembling:
        results += [
            _result_of_ensemble(pair, dataset, folds, num_processes, overwrite) for pair in _pairs(results, folds)
        ]
    best = best_result(results)
    information = {
        "folds": folds,
        "dataset_name_or_id": dataset_name_or_id,
        "considered_models": [model.considered for model in models],
        "ensembling_allowed": allow_ensembling,
        "all_results": {result.name: result.score for result in results},
        "best_model_or_ensemble": _postprocessed(best, dataset, num_processes),
    }
    folder = join(nnUNet_results.require(), dataset)
    write_json(join(folder, INFERENCE_INFORMATION_JSON), with_relative_paths(information, folder))
    print_inference_instructions(information, join(folder, INFERENCE_INSTRUCTIONS_TXT))
    return information


def _complete_models(models: Sequence[TrainedModel], folds: Sequence[int | str], strict: bool) -> list[TrainedModel]:
    missing = {model: problems for model in models if (problems := model.missing(folds))}
    messages = [
        "\n".join([f"{model.identifier} is incomplete:", *(f"  - {problem}" for problem in problems)])
        for model, problems in missing.items()
    ]
    complete = [model for model in models if model not in missing]
    if (strict and missing) or not complete:
        raise MissingFileError(
            "\n".join(messages)
            or "none of the models to compare is planned; name configurations, plans and trainers "
            "that exist (-c, -p, -tr)"
        )
    for message in messages:
        logger.warning("%s\nThe comparison goes on without it.", message)
    return complete


def _result_of_model(
    model: TrainedModel, folds: Sequence[int | str], num_processes: int | None, overwrite: bool
) -> Result:
    folder = join(model.folder, crossval_results_folder_name(folds))
    summary = accumulate_cv_results(model.folder, folder, folds, num_processes, overwrite)
    logger.info("%s: mean Dice %.4f", model.identifier, summary["foreground_mean"]["Dice"])
    return Result(name=model.identifier, models=(model,), folder=folder, summary=summary)


def _warn_of_different_cases(results: Sequence[Result]) -> None:
    everything = frozenset().union(*(result.cases for result in results))
    for result in results:
        missing = sorted(everything - result.cases)
        if missing:
            logger.warning(
                "%s lacks %d of %d cases, such as %s; scores of different cases are hard to compare. Complete it with "
                "nnUNetv2_train ... --val --npz",
                *(result.name, len(missing), len(everything), missing[0]),
            )


def _pairs(results: Sequence[Result], folds: Sequence[int | str]) -> list[tuple[Result, Result]]:
    """The pairs of models that can be averaged: same cases, probabilities of all of them."""
    able = []
    for result in results:
        commands = result.models[0].missing_probabilities(folds)
        if commands:
            logger.warning(
                "%s is in no ensemble, since its validation has no probabilities. Make them:\n%s",
                *(result.name, "\n".join(f"  {command}" for command in commands)),
            )
        else:
            able.append(result)
    return [(first, second) for first, second in itertools.combinations(able, 2) if first.cases == second.cases]


def _result_of_ensemble(
    pair: Sequence[Result], dataset: str, folds: Sequence[int | str], num_processes: int | None, overwrite: bool
) -> Result:
    members = [result.models[0].folder for result in pair]
    name = get_ensemble_name(*members, folds)
    folder = join(nnUNet_results.require(), dataset, ENSEMBLES, name)
    ensemble_crossvalidations(members, folder, folds, num_processes, overwrite)
    dataset_json = read_json(join(folder, DATASET_JSON))
    references = _references(folder, dataset)
    summary = current_summary(folder, references, PlansManager(join(folder, PLANS_JSON)), dataset_json, num_processes)
    logger.info("%s: mean Dice %.4f", name, summary["foreground_mean"]["Dice"])
    return Result(name=name, models=tuple(result.models[0] for result in pair), folder=folder, summary=summary)


def _references(folder: str, dataset: str) -> str:
    ending = read_json(join(folder, DATASET_JSON))["file_ending"]
    return reference_folder(dataset, files_with_ending(folder, ending))


def best_result(results: Sequence[Result]) -> Result:
    """The first one with the highest score; those with an undefined score are left out with a message.

    When all are undefined, the mean over the labels that do occur decides. DatasetError when no label occurs.
    """
    scores = {result.name: result.score for result in results}
    undefined = [name for name, score in scores.items() if math.isnan(score)]
    if len(undefined) == len(results):
        logger.warning("some label occurs in no case; the mean Dice of the other labels decides")
        scores = {result.name: mean_of_defined_dice(result.summary) for result in results}
    elif undefined:
        logger.warning("the mean Dice of %s is NaN (a label occurs in no case); left out", ", ".join(undefined))
    defined = [result for result in results if not math.isnan(scores[result.name])]
    if not defined:
        raise DatasetError("no case has a foreground label, neither in references nor in predictions; check the labels")
    return max(defined, key=lambda result: scores[result.name])


def _postprocessed(best: Result, dataset: str, num_processes: int | None) -> dict[str, Any]:
    """Determine the postprocessing of the winner, and describe both."""
    determine_postprocessing(best.folder, _references(best.folder, dataset), num_processes=num_processes)
    after = read_json(join(best.folder, POSTPROCESSING_JSON))["postprocessed"]
    return {
        "result_on_crossval_pre_pp": best.score,
        "result_on_crossval_post_pp": after["foreground_mean"]["Dice"],
        "postprocessing_file": join(best.folder, POSTPROCESSING_PKL),
        "some_plans_file": join(best.folder, PLANS_JSON),
        "selected_model_or_models": [model.selected for model in best.models],
    }


def with_relative_paths(information: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """``information`` with its two paths relative to ``folder`` (parts separated by /), so that results can move."""
    best = dict(information["best_model_or_ensemble"])
    for key in ("postprocessing_file", "some_plans_file"):
        best[key] = PurePath(relpath(best[key], folder)).as_posix()
    return {**information, "best_model_or_ensemble": best}
