"""Options of a training: their checks, their place in names, and the way back from a name."""

from __future__ import annotations

import pytest

from nnunetv2.errors import UsageError
from nnunetv2.records.layout import model_identifier
from nnunetv2.training.options import TrainingOptions, require_same, split_trainer_name
from nnunetv2.utilities.file_path_utilities import convert_identifier_to_trainer_plans_config

EXAMPLES = {
    "": {},
    "_ep250": {"epochs": 250},
    "_it100": {"iterations_per_epoch": 100},
    "_lr0.003": {"lr": 0.003},
    "_lr1e-05": {"lr": 1e-5},
    "_lr1": {"lr": 1.0},
    "_pat50": {"patience": 50},
    "_seed0": {"seed": 0},
    "_bs4": {"batch_size": 4},
    "_cw1-2.5-0": {"class_weights": (1.0, 2.5, 0.0)},
    "_ep250_it9_lr0.003_pat3_seed7_bs4_cw1-1e-05": {
        "epochs": 250,
        "iterations_per_epoch": 9,
        "lr": 0.003,
        "patience": 3,
        "seed": 7,
        "batch_size": 4,
        "class_weights": (1.0, 1e-5),
    },
}
each_example = pytest.mark.parametrize(
    ("suffix", "values"), EXAMPLES.items(), ids=lambda v: v if isinstance(v, str) else ""
)


@each_example
def test_the_name_of_a_trainer_says_its_options_and_gives_them_back(suffix, values):
    options = TrainingOptions(**values)
    assert options.suffix == suffix
    assert split_trainer_name("nnUNetTrainer_Epoch2000_Lr1e3" + suffix) == ("nnUNetTrainer_Epoch2000_Lr1e3", options)


@each_example
def test_a_folder_with_options_in_its_name_can_be_taken_apart(suffix, values):
    name = "nnUNetTrainer" + TrainingOptions(**values).suffix
    folder = model_identifier(name, "nnUNetPlans", "3d_fullres")
    assert convert_identifier_to_trainer_plans_config(folder) == (name, "nnUNetPlans", "3d_fullres")
    assert "___" not in folder


@each_example
def test_options_survive_json(suffix, values):
    options = TrainingOptions(**values, max_hours=1.5, precision="bf16", channels_last=True)
    assert TrainingOptions.from_json(options.to_json()) == options


@pytest.mark.parametrize(
    "name", ["nnUNetTrainer", "nnUNetTrainer_Epoch2000_Lr1e3", "nnUNetTrainer_250epochs", "nnUNet_Primus_M_Trainer_BS8"]
)
def test_names_of_shipped_trainers_hold_no_options(name):
    assert split_trainer_name(name) == (name, TrainingOptions())


def test_time_and_speed_do_not_change_the_name():
    options = TrainingOptions(
        max_hours=3, precision="f32", channels_last=True, augment_on_device=True, keep_checkpoints=2, nonfinite="stop"
    )
    assert options.suffix == ""
    assert options.learned == {}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "--epochs is 0; it must be above 0"),
        ({"iterations_per_epoch": -1}, "--iterations-per-epoch is -1"),
        ({"lr": float("nan")}, "--lr is nan"),
        ({"max_hours": 0.0}, "--max-hours is 0.0"),
        ({"seed": -1}, "--seed is -1"),
        ({"keep_checkpoints": 0}, "--keep-checkpoints is 0"),
        ({"nonfinite": "ignore"}, "--nonfinite is 'ignore'; it must be one of stop, retry_f32"),
        ({"class_weights": (1.0,)}, "one number from 0 per label"),
        ({"class_weights": (0.0, 0.0)}, "not all 0"),
        ({"precision": "fp8"}, "must be one of f32, bf16"),
    ],
)
def test_values_that_make_no_sense_are_named(values, message):
    with pytest.raises(UsageError, match=message):
        TrainingOptions(**values)


def test_a_name_and_a_flag_that_differ_are_refused():
    with pytest.raises(UsageError, match="-tr T_ep3 and --epochs contradict"):
        TrainingOptions(epochs=4).joined(TrainingOptions(epochs=3), "T_ep3")
    assert TrainingOptions(lr=0.1).joined(TrainingOptions(epochs=3), "T_ep3") == TrainingOptions(lr=0.1, epochs=3)


def test_continuing_with_other_options_is_refused_with_both():
    require_same({"epochs": 3, "max_hours": 1}, TrainingOptions(epochs=3), "c.pth")
    with pytest.raises(UsageError, match=r"c.pth was trained with --epochs 3, .* with --epochs 4 --lr 0.1"):
        require_same({"epochs": 3}, TrainingOptions(epochs=4, lr=0.1), "c.pth")
