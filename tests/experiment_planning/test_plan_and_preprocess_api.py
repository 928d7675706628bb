"""The functions behind the commands."""

import json
import os

import pytest

from nnunetv2.errors import ClassNotFoundError, MissingFileError, UsageError
from nnunetv2.experiment_planning import plan_and_preprocess_api as api
from nnunetv2.experiment_planning.plan_and_preprocess_api import processes_per_configuration
from tests.experiment_planning.plans_editing.plans_of_tests import current_plans

NAME = "Dataset997_Tiny"


def test_process_counts_per_configuration():
    assert processes_per_configuration(["2d", "3d_fullres", "3d_lowres", "mine"], None) == [8, 4, 8, 4]
    assert processes_per_configuration(["2d", "mine"], 3) == [3, 3]
    assert processes_per_configuration(["2d", "mine"], [3]) == [3, 3]
    assert processes_per_configuration(["2d", "mine"], [3, 1]) == [3, 1]
    with pytest.raises(UsageError, match=r"2 process counts .* for 3 configurations") as error:
        processes_per_configuration(["2d", "3d_fullres", "mine"], [3, 1])
    assert isinstance(error.value, RuntimeError)


@pytest.mark.parametrize("name", ["nnUNetPlannerResEncXL", "ResEncUNetPlanner", "nnUNetPlannerResEncL_torchres_sepz"])
def test_planners_are_found_by_name(planning_dataset, name):
    planning_dataset("G4")
    identifier = api.plan_experiments([555], name, overwrite_plans_name="Chosen")
    assert identifier == "Chosen"


def test_planning_passes_settings_on(planning_dataset):
    planning_dataset("G4")
    plans, identifier = api.plan_experiment_dataset(
        555, api.ExperimentPlanner, 11, "Other", ["1", "2", "3.5"], overwrite_plans_name="Chosen"
    )
    assert identifier == plans["plans_name"] == "Chosen"
    assert plans["configurations"]["3d_fullres"]["spacing"] == [3.5, 1.0, 2.0]
    assert plans["configurations"]["2d"]["preprocessor_name"] == "Other"


@pytest.mark.parametrize("name", ["NoSuchPlanner", "np", "get_pool_and_conv_props"])
def test_an_unknown_planner_is_a_clear_error(planning_dataset, name):
    planning_dataset("G4")
    with pytest.raises(ClassNotFoundError, match=f"{name}.*-pl"):
        api.plan_experiments([555], name)


def test_an_unknown_extractor_is_a_clear_error(tiny_dataset):
    with pytest.raises(ClassNotFoundError, match=r"NoSuch.*-fpe"):
        api.extract_fingerprints([997], "NoSuch")


def test_missing_plans_name_the_command(tiny_dataset):
    with pytest.raises(MissingFileError, match="nnUNetv2_plan_experiment"):
        api.preprocess([997])


class RecordingExtractor:
    made: list = []  # noqa: RUF012

    def __init__(self, name, num_processes, verbose):
        self.arguments = (name, num_processes, verbose)

    def run(self, overwrite_existing):
        self.made.append((*self.arguments, self.show_progress_bar, overwrite_existing))
        return {"done": True}


def test_fingerprint_settings_are_passed_on(tiny_dataset, monkeypatch):
    monkeypatch.setattr(RecordingExtractor, "made", [])
    assert api.extract_fingerprint_dataset(997, RecordingExtractor) == {"done": True}
    api.extract_fingerprint_dataset(997, RecordingExtractor, 5, True, False, False, False)
    assert RecordingExtractor.made == [(NAME, 1, True, True, True), (NAME, 5, False, False, False)]


def test_preprocessing_runs_planned_configurations_and_copies_ground_truth(tiny_dataset, folders, monkeypatch, caplog):
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    runs = []
    monkeypatch.setattr(
        DefaultPreprocessor,
        "run",
        lambda self, *arguments, **more: runs.append((*arguments, more, self.verbose, self.show_progress_bar)),
    )
    preprocessed = folders["nnUNet_preprocessed"] / NAME
    preprocessed.mkdir()
    plans = current_plans()
    plans["configurations"] = {name: plans["configurations"][name] for name in ("2d", "3d_fullres")}
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans))
    with caplog.at_level("INFO", "nnunetv2"):
        api.preprocess([997], configurations=["3d_lowres", "3d_fullres"], num_processes=[1, 2], show_progress_bar=False)
    assert runs == [(997, "3d_fullres", "nnUNetPlans", {"num_processes": 2}, False, False)]
    assert "3d_lowres is not in nnUNetPlans" in caplog.text
    truth = preprocessed / "gt_segmentations"
    for original in (tiny_dataset / "labelsTr").iterdir():
        assert (truth / original.name).read_bytes() == original.read_bytes()


def test_ground_truth_is_copied_again_only_when_newer(tiny_dataset, folders):
    api.copy_ground_truth(NAME)
    copies = sorted((folders["nnUNet_preprocessed"] / NAME / "gt_segmentations").iterdir())
    assert len(copies) == 6
    copies[0].write_bytes(b"edited")
    copies[1].write_bytes(b"stale")
    os.utime(copies[1], (1, 1))
    api.copy_ground_truth(NAME)
    assert copies[0].read_bytes() == b"edited"
    assert copies[1].read_bytes() == (tiny_dataset / "labelsTr" / copies[1].name).read_bytes()


@pytest.mark.parametrize(
    "name",
    ["DatasetFingerprintExtractor", "convert_id_to_dataset_name", "get_filenames_of_train_images_and_targets"],
)
def test_names_that_others_import_from_here(name):
    assert name in api.__all__
    assert hasattr(api, name)
