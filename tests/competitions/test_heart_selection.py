"""Which models predict, and with which postprocessing."""

import pytest

from nnunetv2.competitions.heart_selection import (
    crossvalidation_folder,
    determine_postprocessing_of_all,
    missing_selection,
    selection,
)
from nnunetv2.competitions.heart_steps import Pipeline
from nnunetv2.evaluation.find_best_configuration import find_best_configuration
from tests.evaluation.tiny_results import DATASET, with_errors, write_model, write_references


def pipeline(*configurations, ensemble="all") -> Pipeline:
    return Pipeline(dataset=DATASET, configurations=configurations, folds=(0, 1), ensemble=ensemble)


def compare(*configurations) -> None:
    candidates = [{"plans": "nnUNetPlans", "configuration": c, "trainer": "nnUNetTrainer"} for c in configurations]
    find_best_configuration(DATASET, candidates, num_processes=1, folds=(0, 1))


@pytest.fixture
def models(folders):
    write_references(folders)
    for number, configuration in enumerate(("2d", "3d_lowres", "3d_fullres")):
        write_model(folders, configuration, with_errors(6 - 2 * number))
    return folders["nnUNet_results"] / DATASET


def test_all_three_models_are_averaged_with_the_postprocessing_of_their_ensemble(models):
    three = pipeline("2d", "3d_lowres", "3d_fullres")
    compare(*three.configurations)
    assert missing_selection(three) == [str(crossvalidation_folder(three) / "postprocessing.pkl")]
    determine_postprocessing_of_all(three)
    assert missing_selection(three) == []
    assert selection(three) == {
        "members": ["2d", "3d_lowres", "3d_fullres"],
        "postprocessing": str(crossvalidation_folder(three) / "postprocessing.pkl"),
    }
    predicted = sorted(path.name for path in crossvalidation_folder(three).glob("*.nii.gz"))
    assert predicted == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz"]


def test_one_model_uses_the_postprocessing_that_the_comparison_found(models):
    one = pipeline("2d")
    compare("2d")
    determine_postprocessing_of_all(one)
    assert missing_selection(one) == []
    assert selection(one)["postprocessing"].endswith("3d_fullres") is False
    assert "crossval_results_folds_0_1" in selection(one)["postprocessing"]


def test_the_best_alone_predicts_when_that_is_wanted(models):
    chosen = pipeline("2d", "3d_fullres", ensemble="best")
    assert missing_selection(chosen) == [str(models / "inference_information.json")]
    compare("2d", "3d_fullres")
    determine_postprocessing_of_all(chosen)
    assert missing_selection(chosen) == []
    assert selection(chosen)["members"] == ["3d_fullres"]
