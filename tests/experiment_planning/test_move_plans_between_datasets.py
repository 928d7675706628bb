"""Plans of one data set moved to another."""

import json
import logging

import pytest

from nnunetv2.errors import MissingFileError
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncM,
)
from nnunetv2.experiment_planning.plans_for_pretraining.move_plans_between_datasets import (
    entry_point_move_plans_between_datasets,
    move_plans_between_datasets,
)

TARGET = "Dataset997_Tiny"


@pytest.fixture
def moved(planning_dataset, tiny_dataset, folders):
    """Function that moves plans of data set 555 to 997 and gives what arrives there."""
    name = planning_dataset("G1", channels=["CT", "MRI"])

    def move(source="nnUNetPlans", target=None, planner=ExperimentPlanner, change=None):
        planner(name, plans_name=source).plan_experiment()
        path = folders["nnUNet_preprocessed"] / name / f"{source}.json"
        if change is not None:
            path.write_text(json.dumps(change(json.loads(path.read_text()))))
        move_plans_between_datasets(555, TARGET, source, target)
        arrived = folders["nnUNet_preprocessed"] / TARGET / f"{target or source}.json"
        return json.loads(path.read_text()), json.loads(arrived.read_text())

    return move


def test_only_names_change(moved):
    source, target = moved()
    assert target["dataset_name"] == TARGET
    assert target == {**source, "dataset_name": TARGET}
    assert list(target) == list(source)


def test_data_identifiers_follow_a_new_identifier(moved):
    _, target = moved(target="Q")
    assert target["plans_name"] == "Q"
    identifiers = {name: c.get("data_identifier") for name, c in target["configurations"].items()}
    assert identifiers == {
        "2d": "Q_2d",
        "3d_lowres": "Q_3d_lowres",
        "3d_fullres": "Q_3d_fullres",
        "3d_cascade_fullres": None,
    }


def test_data_identifiers_of_other_plans_get_a_prefix(moved):
    _, target = moved(source="Presets", target="Q", planner=nnUNetPlannerResEncM)
    assert target["configurations"]["2d"]["data_identifier"] == "Q_nnUNetPlans_2d"
    assert target["configurations"]["3d_lowres"]["data_identifier"] == "Q_3d_lowres"


def test_the_reader_is_the_targets(moved):
    _, target = moved(change=lambda plans: {**plans, "image_reader_writer": "Tiff3DIO"})
    assert target["image_reader_writer"] == "SimpleITKIO"


def test_dataset_json_comes_along_but_an_existing_one_stays(moved, tiny_dataset, folders):
    copy = folders["nnUNet_preprocessed"] / TARGET / "dataset.json"
    moved()
    assert copy.read_bytes() == (tiny_dataset / "dataset.json").read_bytes()
    copy.write_text("{}")
    moved()
    assert copy.read_text() == "{}"


def test_another_number_of_channels_is_warned_about(planning_dataset, tiny_dataset, caplog):
    ExperimentPlanner(planning_dataset("G1")).plan_experiment()
    with caplog.at_level(logging.WARNING, "nnunetv2"):
        move_plans_between_datasets(555, 997, "nnUNetPlans")
    assert "for 1 image channel(s), but Dataset997_Tiny has 2 (CT, MRI)" in caplog.text


def test_missing_plans_are_an_error(planning_dataset, tiny_dataset):
    planning_dataset("G1")
    with pytest.raises(MissingFileError, match=r"nnUNetPlans\.json does not exist.*-sp") as error:
        move_plans_between_datasets(555, 997, "nnUNetPlans")
    assert isinstance(error.value, AssertionError)


def test_the_command(planning_dataset, tiny_dataset, folders, capsys):
    ExperimentPlanner(planning_dataset("G1")).plan_experiment()
    entry_point_move_plans_between_datasets(["-s", "555", "-t", "997", "-sp", "nnUNetPlans", "-tp", "New"])
    assert (folders["nnUNet_preprocessed"] / TARGET / "New.json").is_file()
    with pytest.raises(SystemExit) as end:
        entry_point_move_plans_between_datasets(["-s", "555", "-t", "997"])
    assert end.value.code == 2
    assert "-sp" in capsys.readouterr().err
