"""Which models of a pipeline predict the test cases, and with which postprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnunetv2.competitions.heart_names import ENDING
from nnunetv2.evaluation.inference_instructions import resolved
from nnunetv2.records import layout
from nnunetv2.records.files import read_json
from nnunetv2.utilities.file_path_utilities import folds_tuple_to_string

if TYPE_CHECKING:
    from nnunetv2.competitions.heart_steps import Pipeline


def selection(pipeline: Pipeline) -> Mapping[str, Any]:
    """``members``: configurations in the order of averaging; ``postprocessing``: the file found best for them."""
    if pipeline.ensemble == "best":
        best = read_json(pipeline.results / layout.INFERENCE_INFORMATION_JSON)["best_model_or_ensemble"]
        members = [model["configuration"] for model in best["selected_model_or_models"]]
        return {"members": members, "postprocessing": resolved(best["postprocessing_file"], pipeline.dataset)}
    return {
        "members": list(pipeline.configurations),
        "postprocessing": str(crossvalidation_folder(pipeline) / layout.POSTPROCESSING_PKL),
    }


def missing_selection(pipeline: Pipeline) -> list[str]:
    """Files that ``selection`` needs and that are not there."""
    information = pipeline.results / layout.INFERENCE_INFORMATION_JSON
    if not information.is_file():
        return [str(information)]
    file = selection(pipeline)["postprocessing"]
    return [] if Path(file).is_file() else [file]


def crossvalidation_folder(pipeline: Pipeline) -> Path:
    """The cross-validation of all configurations together; of one alone, where the comparison collects it."""
    models = [pipeline.model(configuration) for configuration in pipeline.configurations]
    if len(models) == 1:
        return models[0] / layout.crossval_results_folder_name(pipeline.folds)
    name = "___".join(["ensemble", *(model.name for model in models), folds_tuple_to_string(pipeline.folds)])
    return pipeline.results / layout.ENSEMBLES / name


def determine_postprocessing_of_all(pipeline: Pipeline) -> None:
    """Average the cross-validations of all configurations, and find the best postprocessing of that.

    With one configuration nothing is left to do: the comparison has determined its postprocessing.
    """
    if pipeline.ensemble == "best" or len(pipeline.configurations) == 1:
        return
    from nnunetv2.ensembling.ensemble import ensemble_crossvalidations
    from nnunetv2.evaluation.folder_summaries import reference_folder
    from nnunetv2.postprocessing.remove_connected_components import determine_postprocessing

    models = [str(pipeline.model(configuration)) for configuration in pipeline.configurations]
    folder = str(crossvalidation_folder(pipeline))
    ensemble_crossvalidations(models, folder, pipeline.folds)
    predicted = layout.files_with_ending(folder, ENDING)
    determine_postprocessing(folder, reference_folder(pipeline.dataset, predicted))
