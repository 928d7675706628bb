"""Selection among models and ensembles: what exists is compared, what is missing is named with its command."""

import json
import logging
import re

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.evaluation.find_best_configuration import (
    Result,
    best_result,
    default_trained_models,
    dumb_trainer_config_plans_to_trained_models_dict,
    find_best_configuration,
)
from nnunetv2.evaluation.selection_commands import find_best_configuration_entry_point
from tests.evaluation.conftest import write_label_map
from tests.evaluation.tiny_results import (
    DATASET,
    SPLIT,
    as_probabilities,
    reference,
    with_errors,
    write_model,
    write_prediction,
    write_references,
)
from tests.json_comparison import assert_same_json
from tests.shared_data import DATA, GOLDEN, needs_shared


@pytest.fixture(autouse=True)
def references(folders, caplog):
    caplog.set_level(logging.INFO)
    write_references(folders)


def candidates(*configurations):
    return dumb_trainer_config_plans_to_trained_models_dict(["nnUNetTrainer"], configurations, ["nnUNetPlans"])


def find(*configurations, folds=(0, 1), **options):
    return find_best_configuration(DATASET, candidates(*configurations), num_processes=1, folds=folds, **options)


def test_combinations_go_over_trainers_then_configurations_then_plans():
    models = dumb_trainer_config_plans_to_trained_models_dict(["T", "U"], ["2d", "3d"], ["P", "Q"])
    names = [entry["trainer"] + entry["configuration"] + entry["plans"] for entry in models]
    assert names == ["T2dP", "T2dQ", "T3dP", "T3dQ", "U2dP", "U2dQ", "U3dP", "U3dQ"]
    expected = ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"]
    assert [entry["configuration"] for entry in default_trained_models] == expected


def test_the_better_model_wins_and_everything_is_written_down(folders, capsys):
    write_model(folders, "2d", with_errors(6), npz=False)
    write_model(folders, "3d_fullres", with_errors(2), npz=False)
    information = find("2d", "3d_fullres")
    root = folders["nnUNet_results"] / DATASET
    best = information["best_model_or_ensemble"]
    assert [model["configuration"] for model in best["selected_model_or_models"]] == ["3d_fullres"]
    scores = information["all_results"]
    assert scores["nnUNetTrainer__nnUNetPlans__2d"] < scores["nnUNetTrainer__nnUNetPlans__3d_fullres"]
    results = root / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "crossval_results_folds_0_1"
    assert best["postprocessing_file"] == str(results / "postprocessing.pkl")
    assert (results / "postprocessing.pkl").is_file() and (results / "postprocessed" / "a.nii.gz").is_file()
    written = json.loads((root / "inference_information.json").read_text())
    assert (
        written["best_model_or_ensemble"].pop("some_plans_file").startswith("nnUNetTrainer__nnUNetPlans__3d_fullres/")
    )
    assert written["considered_models"] == list(candidates("2d", "3d_fullres"))
    assert written["folds"] == [0, 1] and written["ensembling_allowed"] is True
    assert (root / "inference_instructions.txt").read_text() in capsys.readouterr().out


def test_the_file_holds_paths_that_survive_a_move(folders):
    write_model(folders, "2d")
    find("2d")
    text = (folders["nnUNet_results"] / DATASET / "inference_information.json").read_text()
    assert str(folders["nnUNet_results"]) not in text


def test_an_ensemble_wins_where_models_complement_each_other(folders):
    # Each model takes one label for background, but is less sure there than the other model that sees it.
    for configuration, missed in (("2d", 1), ("3d_fullres", 2)):
        model = write_model(folders, configuration, npz=False)
        for fold, cases in SPLIT.items():
            for case in cases:
                labels = np.where(reference(case) == missed, 0, reference(case))
                probabilities = as_probabilities(labels)
                probabilities[:, reference(case) == missed] = np.array([[0.5], [0.25], [0.25]])
                write_prediction(model / f"fold_{fold}" / "validation", case, labels, probabilities)
    information = find("2d", "3d_fullres")
    *single, ensemble = information["all_results"].values()
    assert max(single) < ensemble == 1.0
    best = information["best_model_or_ensemble"]
    assert [model["configuration"] for model in best["selected_model_or_models"]] == ["2d", "3d_fullres"]
    name = "ensemble___nnUNetTrainer__nnUNetPlans__2d___nnUNetTrainer__nnUNetPlans__3d_fullres___0_1"
    folder = folders["nnUNet_results"] / DATASET / "ensembles" / name
    assert best["some_plans_file"] == str(folder / "plans.json")
    assert (folder / "postprocessing.json").is_file()
    text = (folders["nnUNet_results"] / DATASET / "inference_instructions.txt").read_text()
    assert "nnUNetv2_ensemble -i OUTPUT_FOLDER_MODEL_1 OUTPUT_FOLDER_MODEL_2" in text


def test_single_models_only_when_ensembling_is_off(folders):
    for configuration in ("2d", "3d_fullres"):
        write_model(folders, configuration)
    information = find("2d", "3d_fullres", allow_ensembling=False)
    assert len(information["all_results"]) == 2
    assert information["ensembling_allowed"] is False
    assert not (folders["nnUNet_results"] / DATASET / "ensembles").exists()


def test_ties_go_to_the_first_candidate_and_to_single_models(folders):
    for configuration in ("2d", "3d_fullres"):
        write_model(folders, configuration)
    information = find("3d_fullres", "2d")
    assert set(information["all_results"].values()) == {1.0} and len(information["all_results"]) == 3
    selected = information["best_model_or_ensemble"]["selected_model_or_models"]
    assert [model["configuration"] for model in selected] == ["3d_fullres"]


def test_configurations_that_are_not_planned_are_left_out(folders, caplog):
    write_model(folders, "2d")
    information = find("2d", "3d_other")
    assert information["considered_models"] == list(candidates("2d"))
    assert "nnUNetTrainer__nnUNetPlans__3d_other is left out" in caplog.text


def test_what_is_missing_is_named_with_the_command_that_makes_it(folders, caplog):
    write_model(folders, "2d")
    trained = write_model(folders, "3d_fullres", split={0: "ab"})
    for fold, name in ((1, "checkpoint_final.pth"), (2, "checkpoint_latest.pth")):
        (trained / f"fold_{fold}").mkdir()
        (trained / f"fold_{fold}" / name).touch()
    information = find("2d", "3d_fullres", "3d_lowres")
    assert list(information["all_results"]) == ["nnUNetTrainer__nnUNetPlans__2d"]
    ending = "-tr nnUNetTrainer -p nnUNetPlans"
    assert (
        f"fold 1 is trained but not validated: nnUNetv2_train {DATASET} 3d_fullres 1 {ending} --val --npz"
        in caplog.text
    )
    assert f"fold 0 is not trained: nnUNetv2_train {DATASET} 3d_lowres 0 {ending} --npz" in caplog.text
    with pytest.raises(MissingFileError, match=rf"fold 2 is not trained to the end: .* 2 {ending} --c --npz"):
        find("3d_fullres", folds=(0, 2))


def test_a_missing_second_stage_asks_for_the_first_one_first(folders, caplog):
    write_model(folders, "2d")
    find("2d", "3d_cascade_fullres")
    message = next(record.getMessage() for record in caplog.records if "is incomplete" in record.getMessage())
    lowres, cascade = message.index("3d_lowres: first train"), message.index("fold 0 is not trained")
    assert lowres < cascade


def test_strict_makes_every_gap_an_error(folders):
    write_model(folders, "2d")
    with pytest.raises(MissingFileError, match="3d_fullres is incomplete"):
        find("2d", "3d_fullres", strict=True)


def test_nothing_to_compare_is_an_error(folders):
    with pytest.raises(MissingFileError, match="2d is incomplete"):
        find("2d")
    with pytest.raises(MissingFileError, match="none of the models to compare is planned"):
        find("4d")


def test_unknown_plans_are_named(folders, caplog):
    with pytest.raises(MissingFileError):
        find_best_configuration(DATASET, [{"plans": "X", "configuration": "2d", "trainer": "T"}], folds=(0,))
    assert "there are no plans X" in caplog.text


def test_plans_in_the_model_folder_are_enough(folders):
    write_model(folders, "2d")
    (folders["nnUNet_preprocessed"] / DATASET / "nnUNetPlans.json").unlink()
    assert find("2d")["all_results"] == {"nnUNetTrainer__nnUNetPlans__2d": 1.0}


def test_a_model_without_probabilities_is_in_no_ensemble_and_told_how_to_make_them(folders, caplog):
    write_model(folders, "2d", npz=False)
    write_model(folders, "3d_fullres")
    information = find("2d", "3d_fullres")
    assert len(information["all_results"]) == 2
    assert "2d is in no ensemble" in caplog.text
    assert f"nnUNetv2_train {DATASET} 2d 0 -tr nnUNetTrainer -p nnUNetPlans --val --npz" in caplog.text


def test_models_with_different_cases_are_compared_with_a_warning_but_not_averaged(folders, caplog):
    write_model(folders, "2d", split={0: "a", 1: "cd"})
    write_model(folders, "3d_fullres")
    assert len(find("2d", "3d_fullres")["all_results"]) == 2
    assert "2d lacks 1 of 4 cases, such as b.nii.gz" in caplog.text


def test_fold_all_is_a_fold(folders):
    for configuration in ("2d", "3d_fullres"):
        write_model(folders, configuration, split={"all": "abcd"})
    information = find("2d", "3d_fullres", folds=["all"])
    assert information["folds"] == ["all"]
    text = (folders["nnUNet_results"] / DATASET / "inference_instructions.txt").read_text()
    assert "-f  all -tr" in text


def test_the_first_stage_is_in_the_instructions_of_a_cascade_that_won(folders):
    write_model(folders, "3d_cascade_fullres")
    find("3d_cascade_fullres")
    text = (folders["nnUNet_results"] / DATASET / "inference_instructions.txt").read_text()
    assert "-o OUTPUT_FOLDER_PREV_STAGE " in text and "-prev_stage_predictions OUTPUT_FOLDER_PREV_STAGE" in text


def test_without_overwrite_results_are_reused(folders):
    write_model(folders, "2d", with_errors(2))
    first = find("2d")
    results = folders["nnUNet_results"] / DATASET / "nnUNetTrainer__nnUNetPlans__2d" / "crossval_results_folds_0_1"
    before = (results / "summary.json").stat().st_mtime_ns
    assert find("2d", overwrite=False) == first
    assert (results / "summary.json").stat().st_mtime_ns == before


def result(name, *dice):
    mean = {label: {"Dice": value} for label, value in enumerate(dice, start=1)}
    summary = {"mean": mean, "foreground_mean": {"Dice": float(np.mean(dice))}, "metric_per_case": []}
    return Result(name=name, models=(), folder="", summary=summary)


NAN = float("nan")


@pytest.mark.parametrize("order", [1, -1])
def test_undefined_scores_are_left_out_wherever_they_stand(order, caplog):
    results = [result("x", 0.9, NAN), result("y", 0.4, 0.4), result("z", 0.5, 0.2)][::order]
    assert best_result(results).name == "y"
    assert "the mean Dice of x is NaN" in caplog.text


def test_when_all_scores_are_undefined_the_other_labels_decide(caplog):
    assert best_result([result("x", 0.4, NAN), result("y", 0.6, NAN)]).name == "y"
    assert "the other labels decides" in caplog.text


def test_no_foreground_anywhere_is_an_error():
    with pytest.raises(DatasetError, match="no case has a foreground label"):
        best_result([result("x", NAN), result("y", NAN)])


def test_a_label_that_occurs_nowhere_does_not_stop_the_selection(folders):
    for case in "abcd":
        labels = np.minimum(reference(case), 1)
        write_label_map(folders["nnUNet_raw"] / DATASET / "labelsTr" / f"{case}.nii.gz", labels)
    for configuration, count in (("2d", 4), ("3d_fullres", 0)):
        write_model(folders, configuration, lambda case, n=count: np.minimum(with_errors(n)(case), 1), npz=False)
    information = find("2d", "3d_fullres")
    assert information["best_model_or_ensemble"]["selected_model_or_models"][0]["configuration"] == "3d_fullres"


def test_the_command_resolves_numbers_and_passes_its_flags_on(folders):
    for configuration in ("2d", "3d_fullres"):
        write_model(folders, configuration)
    arguments = ["995", "-c", "2d", "3d_fullres", "-f", "0", "1", "-np", "1", "--disable_ensembling", "--no_overwrite"]
    find_best_configuration_entry_point(arguments)
    written = json.loads((folders["nnUNet_results"] / DATASET / "inference_information.json").read_text())
    assert written["dataset_name_or_id"] == DATASET and written["ensembling_allowed"] is False


@needs_shared
@pytest.mark.slow
def test_the_recorded_cross_validation_gives_the_recorded_selection(folders, monkeypatch):
    name, source = "Dataset004_Hippocampus", GOLDEN / "crossval"
    root = folders["nnUNet_results"] / name
    for model in (source / f"nnUNetTrainer__nnUNetPlans__{configuration}" for configuration in ("2d", "3d_fullres")):
        for fold in range(3):
            (root / model.name / f"fold_{fold}").mkdir(parents=True)
            (root / model.name / f"fold_{fold}" / "validation").symlink_to(model / f"fold_{fold}" / "validation")
        for file in ("plans.json", "dataset.json"):
            (root / model.name / file).write_bytes((model / "crossval_results_folds_0_1_2" / file).read_bytes())
    (folders["nnUNet_raw"] / name).mkdir()
    (folders["nnUNet_raw"] / name / "labelsTr").symlink_to(DATA / name / "labelsTr")
    (folders["nnUNet_preprocessed"] / name).symlink_to(GOLDEN / name)
    monkeypatch.setenv("nnUNet_def_n_proc", "2")  # as recorded; it is in the instructions
    find_best_configuration_entry_point(["4", "-c", "2d", "3d_fullres", "-f", "0", "1", "2", "-np", "1"])
    recorded = sorted(path for path in source.rglob("*.json") if "/fold_" not in str(path))
    assert len(recorded) == 12
    for file in recorded:
        ours = json.loads((root / file.relative_to(source)).read_text())
        assert_same_json(ours, json.loads(file.read_text()))
    segmentations = [path for path in source.rglob("*.nii.gz") if "/fold_" not in str(path)]
    assert len(segmentations) == 4 * 24
    for file in segmentations:
        ours, theirs = (sitk.GetArrayFromImage(sitk.ReadImage(str(f))) for f in (root / file.relative_to(source), file))
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = ((f / "inference_instructions.txt").read_text() for f in (root, source))
    theirs = theirs.replace("WORK/res", str(folders["nnUNet_results"]))
    assert re.findall("^nnUNetv2_.*$", ours, re.M) == re.findall("^nnUNetv2_.*$", theirs, re.M)
