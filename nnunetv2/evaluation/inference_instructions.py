"""The commands that predict new images with the model or ensemble that was found best."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

from nnunetv2.configuration import num_processes
from nnunetv2.evaluation.trained_models import TrainedModel
from nnunetv2.paths import nnUNet_results
from nnunetv2.records.files import PathLike, atomic_path
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

_INPUT, _OUTPUT = "INPUT_FOLDER", "OUTPUT_FOLDER"


def generate_inference_command(
    dataset_name_or_id: int | str,
    configuration_name: str,
    plans_identifier: str = "nnUNetPlans",
    trainer_name: str = "nnUNetTrainer",
    folds: Sequence[int | str] = (0, 1, 2, 3, 4),
    folder_with_segs_from_prev_stage: str | None = None,
    input_folder: str = _INPUT,
    output_folder: str = _OUTPUT,
    save_probabilities: bool = False,
) -> str:
    """The ``nnUNetv2_predict`` command of one model.

    A configuration with a previous stage gets two lines: the previous stage writes to ``<output_folder>_PREV_STAGE``,
    the second line reads from there; with ``folder_with_segs_from_prev_stage`` only the second one.
    """
    fold_list = " ".join(str(fold) for fold in folds)
    previous_folder, lines = folder_with_segs_from_prev_stage, []
    if previous_folder is None:
        previous = _model(dataset_name_or_id, trainer_name, plans_identifier, configuration_name).previous_stage()
        if previous is not None:
            previous_folder = f"{output_folder}_PREV_STAGE"
            lines.append(
                generate_inference_command(
                    dataset_name_or_id,
                    previous.configuration,
                    plans_identifier,
                    trainer_name,
                    folds,
                    input_folder=input_folder,
                    output_folder=previous_folder,
                )
            )
    # The two blanks after -f are in the files of nnU-Net v2 too; scripts compare lines.
    command = (
        f"nnUNetv2_predict -d {dataset_name_or_id} -i {input_folder} -o {output_folder} -f  {fold_list} "
        f"-tr {trainer_name} -c {configuration_name} -p {plans_identifier}"
    )
    command += f" -prev_stage_predictions {previous_folder}" if previous_folder is not None else ""
    command += " --save_probabilities" if save_probabilities else ""
    return "\n".join([*lines, command])


def _model(dataset_name_or_id: int | str, trainer: str, plans: str, configuration: str) -> TrainedModel:
    dataset = maybe_convert_to_dataset_name(dataset_name_or_id)
    return TrainedModel(dataset=dataset, trainer=trainer, plans=plans, configuration=configuration)


def inference_instructions(information: Mapping[str, Any]) -> str:
    """Text with all commands, in order: predict, ensemble if an ensemble won, postprocess.

    ``information`` is the content of inference_information.json, or what find_best_configuration returned.
    """
    best, dataset = information["best_model_or_ensemble"], information["dataset_name_or_id"]
    members = best["selected_model_or_models"]
    paragraphs = ["Predict new images like this; replace the words in capital letters:"]
    if len(members) == 1:
        paragraphs.append(_prediction(members[0], information, _OUTPUT))
    else:
        paragraphs.append("An ensemble was best: predict with each of its models, then average.")
        outputs = [f"{_OUTPUT}_MODEL_{number}" for number in range(1, len(members) + 1)]
        paragraphs.append("\n".join(_ensemble_predictions(members, outputs, information)))
        paragraphs.append(f"nnUNetv2_ensemble -i {' '.join(outputs)} -o {_OUTPUT} -np {num_processes()}")
    postprocessing, plans = (resolved(best[key], dataset) for key in ("postprocessing_file", "some_plans_file"))
    paragraphs.append("Then apply the postprocessing that was found best in the cross-validation:")
    paragraphs.append(
        f"nnUNetv2_apply_postprocessing -i {_OUTPUT} -o {_OUTPUT}_PP -pp_pkl_file {postprocessing} "
        f"-np {num_processes()} -plans_json {plans}"
    )
    return "\n\n".join(paragraphs) + "\n"


def _prediction(
    member: Mapping[str, str], information: Mapping[str, Any], output: str, previous: str | None = None, **kwargs: bool
) -> str:
    return generate_inference_command(
        information["dataset_name_or_id"],
        member["configuration"],
        member["plans_identifier"],
        member["trainer"],
        information["folds"],
        previous,
        output_folder=output,
        **kwargs,
    )


def _ensemble_predictions(
    members: Sequence[Mapping[str, str]], outputs: Sequence[str], information: Mapping[str, Any]
) -> list[str]:
    """Predictions of all members. A member that is the previous stage of another comes before it and is used there."""
    models = [
        _model(
            information["dataset_name_or_id"], member["trainer"], member["plans_identifier"], member["configuration"]
        )
        for member in members
    ]
    output_of: dict[TrainedModel | None, str] = dict(zip(models, outputs))
    needs = {model: model.previous_stage() for model in models}
    first_stages_first = sorted(zip(models, members), key=lambda pair: needs[pair[0]] is not None)
    commands = []
    for model, member in first_stages_first:
        previous = output_of.get(needs[model])
        commands.append(_prediction(member, information, output_of[model], previous, save_probabilities=True))
    return commands


def print_inference_instructions(
    inference_info_dict: Mapping[str, Any], instructions_file: PathLike | None = None
) -> None:
    """Print ``inference_instructions``, and write them to ``instructions_file`` if it is given."""
    text = inference_instructions(inference_info_dict)
    sys.stdout.write(text)
    if instructions_file is not None:
        with atomic_path(instructions_file) as temporary:
            temporary.write_text(text, encoding="utf-8")


def resolved(path: str, dataset_name_or_id: int | str) -> str:
    """Absolute path of a file named in inference_information.json.

    Relative paths start at the data set's folder below ``nnUNet_results``. Files of earlier versions hold absolute
    paths; if results were moved since, the part below the data set's folder is looked up where they are now.
    """
    if os.path.exists(path) and os.path.isabs(path):
        return path
    dataset = str(maybe_convert_to_dataset_name(dataset_name_or_id))
    if not os.path.isabs(path):
        return join(nnUNet_results.require(), dataset, path)
    parts = path.replace("\\", "/").split("/")
    if dataset not in parts or not nnUNet_results.is_set():
        return path
    moved = join(nnUNet_results, dataset, *parts[parts.index(dataset) + 1 :])
    return moved if os.path.exists(moved) else path
