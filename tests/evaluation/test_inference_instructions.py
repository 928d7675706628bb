"""The commands that find_best_configuration recommends."""

import pytest

from nnunetv2.evaluation.inference_instructions import (
    generate_inference_command,
    inference_instructions,
    print_inference_instructions,
    resolved,
)
from tests.evaluation.tiny_results import DATASET, write_references

PREDICT = f"nnUNetv2_predict -d {DATASET} -i INPUT_FOLDER -o"


@pytest.fixture(autouse=True)
def planned(folders):
    write_references(folders)


def information(*configurations, folds=(0, 1)):
    return {
        "dataset_name_or_id": DATASET,
        "folds": list(folds),
        "best_model_or_ensemble": {
            "postprocessing_file": "model/results/postprocessing.pkl",
            "some_plans_file": "model/results/plans.json",
            "selected_model_or_models": [
                {"configuration": name, "trainer": "nnUNetTrainer", "plans_identifier": "nnUNetPlans"}
                for name in configurations
            ],
        },
    }


def commands(text):
    return [line for line in text.splitlines() if line.startswith("nnUNetv2_")]


def test_the_command_of_a_model():
    command = generate_inference_command(DATASET, "2d", "P", "T", (0, "all"), save_probabilities=True)
    assert command == f"{PREDICT} OUTPUT_FOLDER -f  0 all -tr T -c 2d -p P --save_probabilities"


def test_the_command_of_a_cascade_is_preceded_by_that_of_its_previous_stage():
    lines = generate_inference_command(DATASET, "3d_cascade_fullres", folds=[0], input_folder="in", output_folder="o")
    rest = "-f  0 -tr nnUNetTrainer"
    assert lines.splitlines() == [
        f"nnUNetv2_predict -d {DATASET} -i in -o o_PREV_STAGE {rest} -c 3d_lowres -p nnUNetPlans",
        f"nnUNetv2_predict -d {DATASET} -i in -o o {rest} -c 3d_cascade_fullres -p nnUNetPlans "
        "-prev_stage_predictions o_PREV_STAGE",
    ]


def test_previous_predictions_that_exist_are_used():
    command = generate_inference_command(DATASET, "3d_cascade_fullres", folder_with_segs_from_prev_stage="lowres")
    assert command.endswith("-c 3d_cascade_fullres -p nnUNetPlans -prev_stage_predictions lowres")
    assert "\n" not in command


def test_a_model_without_plans_is_taken_for_one_without_previous_stage(caplog):
    command = generate_inference_command(DATASET, "3d_cascade_fullres", "unknownPlans")
    assert "-prev_stage_predictions" not in command
    assert "no plans unknownPlans" in caplog.text


def test_a_single_model_is_predicted_and_postprocessed(folders, monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "5")
    results = folders["nnUNet_results"] / DATASET / "model" / "results"
    assert commands(inference_instructions(information("3d_fullres"))) == [
        f"{PREDICT} OUTPUT_FOLDER -f  0 1 -tr nnUNetTrainer -c 3d_fullres -p nnUNetPlans",
        f"nnUNetv2_apply_postprocessing -i OUTPUT_FOLDER -o OUTPUT_FOLDER_PP -pp_pkl_file {results}/postprocessing.pkl "
        f"-np 5 -plans_json {results}/plans.json",
    ]


def test_an_ensemble_is_predicted_with_probabilities_and_averaged(monkeypatch):
    monkeypatch.setenv("nnUNet_def_n_proc", "5")
    found = commands(inference_instructions(information("2d", "3d_fullres")))
    rest = "-f  0 1 -tr nnUNetTrainer"
    assert found[:3] == [
        f"{PREDICT} OUTPUT_FOLDER_MODEL_1 {rest} -c 2d -p nnUNetPlans --save_probabilities",
        f"{PREDICT} OUTPUT_FOLDER_MODEL_2 {rest} -c 3d_fullres -p nnUNetPlans --save_probabilities",
        "nnUNetv2_ensemble -i OUTPUT_FOLDER_MODEL_1 OUTPUT_FOLDER_MODEL_2 -o OUTPUT_FOLDER -np 5",
    ]
    assert found[3].startswith("nnUNetv2_apply_postprocessing") and len(found) == 4


def test_a_cascade_that_won_has_the_commands_of_both_stages():
    first, second, _ = commands(inference_instructions(information("3d_cascade_fullres")))
    assert "-o OUTPUT_FOLDER_PREV_STAGE " in first and "-c 3d_lowres " in first
    assert "-o OUTPUT_FOLDER " in second and second.endswith("-prev_stage_predictions OUTPUT_FOLDER_PREV_STAGE")


def test_a_cascade_in_an_ensemble_has_a_previous_stage_of_its_own():
    found = commands(inference_instructions(information("3d_cascade_fullres", "2d")))
    assert ["_MODEL_2 " in found[0], "_MODEL_1_PREV_STAGE " in found[1], "_MODEL_1 " in found[2]] == [True] * 3
    assert found[2].endswith("-prev_stage_predictions OUTPUT_FOLDER_MODEL_1_PREV_STAGE --save_probabilities")
    assert "--save_probabilities" not in found[1]


@pytest.mark.parametrize("order", [("3d_lowres", "3d_cascade_fullres"), ("3d_cascade_fullres", "3d_lowres")])
def test_an_ensemble_of_both_stages_predicts_the_first_stage_once_and_first(order):
    lowres, cascade, *_ = found = commands(inference_instructions(information(*order)))
    number = order.index("3d_lowres") + 1
    assert len(found) == 4
    assert "-c 3d_lowres " in lowres and f"-o OUTPUT_FOLDER_MODEL_{number} " in lowres
    assert f"-prev_stage_predictions OUTPUT_FOLDER_MODEL_{number} --save_probabilities" in cascade


def test_instructions_are_printed_and_written(tmp_path, capsys):
    print_inference_instructions(information("2d"), tmp_path / "text.txt")
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "text.txt").read_text() == inference_instructions(information("2d"))


def test_paths_in_the_information_are_found_where_the_results_are_now(folders, tmp_path):
    here = folders["nnUNet_results"] / DATASET / "m" / "plans.json"
    here.parent.mkdir(parents=True)
    here.write_text("{}")
    assert resolved("m/plans.json", DATASET) == str(here)
    assert resolved(f"/old/results/{DATASET}/m/plans.json", 995) == str(here)
    assert resolved(str(here), DATASET) == str(here)
    assert resolved("/elsewhere/plans.json", DATASET) == "/elsewhere/plans.json"
    assert resolved(f"/old/{DATASET}/m/other.json", DATASET) == f"/old/{DATASET}/m/other.json"
