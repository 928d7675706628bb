"""Trainers of every v2 release construct, whatever the form of their constructor."""

from __future__ import annotations

import copy
import inspect

import pytest
import torch

from nnunetv2.errors import EnvironmentVariableError, PlansError
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer_varianst import nnUNetTrainer_Epoch2000_Lr1e3
from nnunetv2.training.signature_compat import construct_trainer
from tests.training.tiny_training import CPU, DATASET, tiny_plans

CUDA = torch.device("cuda")
DATASET_JSON = {
    "channel_names": {"0": "CT", "1": "MRI"},
    "labels": {"background": 0, "shell": 1, "core": 2},
    "numTraining": 6,
    "file_ending": ".nii.gz",
}
ATTRIBUTES = [
    "is_ddp",
    "local_rank",
    "device",
    "my_init_kwargs",
    "plans_manager",
    "configuration_manager",
    "configuration_name",
    "dataset_json",
    "fold",
    "preprocessed_dataset_folder_base",
    "preprocessed_dataset_folder",
    "output_folder_base",
    "output_folder",
    "dataset_class",
    "is_cascaded",
    "folder_with_segs_from_previous_stage",
    "initial_lr",
    "weight_decay",
    "oversample_foreground_percent",
    "probabilistic_oversampling",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "num_epochs",
    "current_epoch",
    "enable_deep_supervision",
    "label_manager",
    "num_input_channels",
    "network",
    "optimizer",
    "lr_scheduler",
    "loss",
    "grad_scaler",
    "log_file",
    "logger",
    "dataloader_train",
    "dataloader_val",
    "_best_ema",
    "inference_allowed_mirroring_axes",
    "save_every",
    "disable_checkpointing",
    "was_initialized",
    "unpack_dataset",
]
METHODS = [
    "initialize",
    "_do_i_compile",
    "build_network_architecture",
    "_get_deep_supervision_scales",
    "_set_batch_size_and_oversample",
    "_build_loss",
    "configure_optimizers",
    "configure_rotation_dummyDA_mirroring_and_inital_patch_size",
    "do_split",
    "get_tr_and_val_datasets",
    "get_dataloaders",
    "get_training_transforms",
    "get_validation_transforms",
    "set_deep_supervision_enabled",
    "print_to_log_file",
    "print_plans",
    "plot_network_architecture",
    "_save_debug_information",
    "run_training",
    "on_train_start",
    "on_train_end",
    "on_epoch_start",
    "on_epoch_end",
    "on_train_epoch_start",
    "on_train_epoch_end",
    "on_validation_epoch_start",
    "on_validation_epoch_end",
    "train_step",
    "validation_step",
    "save_checkpoint",
    "load_checkpoint",
    "perform_actual_validation",
]


class OldStyle(nnUNetTrainer):
    """Constructor of 2.0 to 2.5, passed on by position."""

    def __init__(self, plans, configuration, fold, dataset_json, unpack_dataset=True, device=CUDA):
        super().__init__(plans, configuration, fold, dataset_json, unpack_dataset, device)
        self.num_epochs = 7


class OldStyleByKeyword(nnUNetTrainer):
    """Constructor of 2.0 to 2.5, passed on by keyword."""

    def __init__(self, plans, configuration, fold, dataset_json, unpack_dataset=True, device=CUDA):
        super().__init__(plans, configuration, fold, dataset_json, unpack_dataset=unpack_dataset, device=device)


class NewStyle(nnUNetTrainer):
    """Constructor from 2.6 on."""

    def __init__(self, plans, configuration, fold, dataset_json, device=CUDA):
        super().__init__(plans, configuration, fold, dataset_json, device)


class WithMoreParameters(nnUNetTrainer):
    """A constructor with a parameter of its own, and one that takes anything."""

    def __init__(self, plans, configuration, fold, dataset_json, device=CUDA, temperature=2.0, **more):
        super().__init__(plans, configuration, fold, dataset_json, device=device)
        self.temperature = temperature


FORMS = {
    "device by keyword": ((), {"device": CPU}),
    "device by position": ((CPU,), {}),
    "device as text": (("cpu",), {}),
    "unpacking and device by position": ((False, CPU), {}),
    "unpacking by position, device by keyword": ((False,), {"device": CPU}),
    "unpacking and device by keyword": ((), {"unpack_dataset": False, "device": CPU}),
    "device by position, unpacking by keyword": ((CPU,), {"unpack_dataset": False}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_constructor_call_is_understood(form, folders):
    args, kwargs = FORMS[form]
    trainer = nnUNetTrainer(tiny_plans(), "tiny", 0, DATASET_JSON, *args, **kwargs)
    assert trainer.device == CPU
    assert trainer.unpack_dataset is ("unpacking" not in form)


@pytest.mark.parametrize("extra", [(3.5,), (True, True), (CPU, CPU), (None,)])
def test_other_arguments_are_refused(extra, folders):
    with pytest.raises(TypeError, match="unpack_dataset"):
        nnUNetTrainer(tiny_plans(), "tiny", 0, DATASET_JSON, *extra)


@pytest.mark.parametrize("trainer_class", [nnUNetTrainer, OldStyle, OldStyleByKeyword, NewStyle, WithMoreParameters])
def test_the_launcher_constructs_every_style(trainer_class, folders):
    trainer = construct_trainer(trainer_class, tiny_plans(), "tiny", 1, DATASET_JSON, CPU)
    assert trainer.device == CPU
    assert trainer.output_folder.endswith(f"{DATASET}/{trainer_class.__name__}__nnUNetPlans__tiny/fold_1")
    has_unpacking = trainer_class in (OldStyle, OldStyleByKeyword)
    expected = {"plans", "configuration", "fold", "dataset_json", "device"}
    assert set(trainer.my_init_kwargs) == expected | ({"unpack_dataset"} if has_unpacking else set())


def test_the_callers_plans_stay_as_they_were(folders):
    plans = tiny_plans() | {"continue_training": True}
    before = copy.deepcopy(plans)
    trainer = nnUNetTrainer(plans, "tiny", 0, DATASET_JSON, device=CPU)
    assert plans == before
    assert "continue_training" not in trainer.plans_manager.plans
    assert trainer.my_init_kwargs["plans"] is trainer.plans_manager.plans


def test_plans_without_the_resume_key_are_kept_by_reference(folders):
    plans = tiny_plans()
    assert nnUNetTrainer(plans, "tiny", 0, DATASET_JSON, device=CPU).plans_manager.plans is plans


def test_documented_attributes_and_methods_exist(folders):
    trainer = nnUNetTrainer(tiny_plans(), "tiny", "all", DATASET_JSON, device=CPU)
    assert [name for name in ATTRIBUTES if not hasattr(trainer, name)] == []
    assert [name for name in METHODS if not callable(getattr(nnUNetTrainer, name, None))] == []
    assert (trainer.initial_lr, trainer.weight_decay, trainer.num_epochs, trainer.save_every) == (1e-2, 3e-5, 1000, 50)
    assert (trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch) == (250, 50)
    assert trainer.oversample_foreground_percent == 0.33
    assert trainer.grad_scaler is None
    assert trainer.output_folder.endswith("fold_all")
    assert not hasattr(trainer, "batch_size")  # depends on hyperparameters, so it waits for initialize


def test_hyperparameters_set_after_the_constructor_take_effect(folders):
    trainer = nnUNetTrainer(tiny_plans(), "tiny", 0, DATASET_JSON, device=CPU)
    trainer.initial_lr, trainer.num_epochs, trainer.enable_deep_supervision = 0.5, 3, False
    trainer.configuration_manager.configuration["batch_size"] = 5
    trainer.initialize()
    trainer.lr_scheduler.step(1)
    assert trainer.batch_size == 5
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * (2 / 3) ** 0.9)
    assert trainer._get_deep_supervision_scales() is None
    assert trainer.network.decoder.deep_supervision is False


def test_plans_edited_before_the_constructor_take_effect(folders):
    class EditsPlans(nnUNetTrainer):
        def __init__(self, plans, configuration, fold, dataset_json, device=CUDA):
            plans["configurations"][configuration]["batch_size"] = 9
            super().__init__(plans, configuration, fold, dataset_json, device)

    trainer = EditsPlans(tiny_plans(), "tiny", 0, DATASET_JSON, CPU)
    trainer.initialize()
    assert trainer.batch_size == 9


def test_a_second_initialize_is_refused(folders):
    trainer = nnUNetTrainer(tiny_plans(), "tiny", 0, DATASET_JSON, device=CPU)
    trainer.initialize()
    with pytest.raises(RuntimeError, match="initialize"):
        trainer.initialize()


def test_without_a_results_folder_the_variable_is_named(folders, monkeypatch):
    monkeypatch.delenv("nnUNet_results")
    with pytest.raises(EnvironmentVariableError, match="nnUNet_results"):
        nnUNetTrainer(tiny_plans(), "tiny", 0, DATASET_JSON, device=CPU)


def test_an_unknown_configuration_is_named_with_those_that_exist(folders):
    with pytest.raises(PlansError, match="3d_fullres.*tiny"):
        nnUNetTrainer(tiny_plans(), "3d_fullres", 0, DATASET_JSON, device=CPU)


def test_a_patch_that_does_not_fit_the_strides_is_found_before_the_network_is_built(folders):
    plans = tiny_plans()
    plans["configurations"]["tiny"]["patch_size"] = [16, 16, 18]
    trainer = nnUNetTrainer(plans, "tiny", 0, DATASET_JSON, device=CPU)
    with pytest.raises(PlansError, match="not divisible"):
        trainer.initialize()


def test_batch_size_and_oversampling_can_be_determined_twice(folders, monkeypatch):
    from nnunetv2.training.nnUNetTrainer import nnUNetTrainer as module

    monkeypatch.setattr(module, "rank", lambda: 1)
    monkeypatch.setattr(module, "world_size", lambda: 2)
    plans = tiny_plans()
    plans["configurations"]["tiny"]["batch_size"] = 4
    trainer = nnUNetTrainer(plans, "tiny", 0, DATASET_JSON, device=CPU)
    for _ in range(2):
        trainer._set_batch_size_and_oversample()
        assert (trainer.batch_size, trainer.oversample_foreground_percent) == (2, 0.5)


def test_the_flare24_trainer_has_the_published_constructor_and_numbers(folders):
    parameters = list(inspect.signature(nnUNetTrainer_Epoch2000_Lr1e3.__init__).parameters)
    assert parameters[1:] == ["plans", "configuration", "fold", "dataset_json", "unpack_dataset", "device"]
    trainer = nnUNetTrainer_Epoch2000_Lr1e3(tiny_plans(), "tiny", "all", DATASET_JSON, False, CPU)
    assert (trainer.num_epochs, trainer.initial_lr, trainer.unpack_dataset) == (2000, 1e-3, False)
