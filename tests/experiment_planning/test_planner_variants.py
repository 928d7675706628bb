"""Residual encoder presets and planners with other resampling: names, numbers, data identifiers."""

import inspect
import warnings

import pytest

from nnunetv2.experiment_planning.experiment_planners import resencUNet_planner
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.resampling.planners_no_resampling import (
    nnUNetPlannerResEncL_noResampling,
)
from nnunetv2.experiment_planning.experiment_planners.resampling.resample_with_torch import (
    nnUNetPlanner_torchres,
    nnUNetPlannerResEncL_torchres,
    nnUNetPlannerResEncL_torchres_sepz,
)
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    ResEncUNetPlanner,
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)
from nnunetv2.preprocessing.resampling.utils import recursive_find_resampling_fn_by_name

# class, plans name, memory in GB, reference values 3D and 2D, share of the data set a batch may cover
VARIANTS = [
    (ExperimentPlanner, "nnUNetPlans", 8, 560e6, 85e6, 0.05),
    (ResEncUNetPlanner, "nnUNetResEncUNetPlans", 8, 680e6, 135e6, 0.05),
    (nnUNetPlannerResEncM, "nnUNetResEncUNetMPlans", 8, 680e6, 135e6, 1),
    (nnUNetPlannerResEncL, "nnUNetResEncUNetLPlans", 24, 2.1e9, 380e6, 1),
    (nnUNetPlannerResEncXL, "nnUNetResEncUNetXLPlans", 40, 3.6e9, 560e6, 1),
    (nnUNetPlannerResEncL_noResampling, "nnUNetResEncUNetLPlans_noResampling", 24, 2.1e9, 380e6, 1),
    (nnUNetPlannerResEncL_torchres, "nnUNetResEncUNetLPlans_torchres", 24, 2.1e9, 380e6, 1),
    (nnUNetPlannerResEncL_torchres_sepz, "nnUNetResEncUNetLPlans_torchres_sepz", 24, 2.1e9, 380e6, 1),
    (nnUNetPlanner_torchres, "nnUNetPlans_torchres", 8, 560e6, 85e6, 0.05),
]
SHARED_DATA = (ResEncUNetPlanner, nnUNetPlannerResEncM, nnUNetPlannerResEncL, nnUNetPlannerResEncXL)


@pytest.mark.parametrize(("planner_class", "name", "memory", "ref_3d", "ref_2d", "covered"), VARIANTS)
def test_numbers_of_the_presets(planning_dataset, planner_class, name, memory, ref_3d, ref_2d, covered):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        planner = planner_class(planning_dataset("G4"))
    assert planner.plans_identifier == name
    assert planner.UNet_vram_target_GB == planner.UNet_reference_val_corresp_GB == memory
    assert (planner.UNet_reference_val_3d, planner.UNet_reference_val_2d) == (ref_3d, ref_2d)
    assert planner.max_dataset_covered == covered
    assert list(inspect.signature(planner_class).parameters) == list(inspect.signature(ExperimentPlanner).parameters)
    plans = planner.plan_experiment()
    assert plans["experiment_planner_used"] == planner_class.__name__
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    kwargs = architecture["arch_kwargs"]
    if issubclass(planner_class, ResEncUNetPlanner):
        assert architecture["network_class_name"].endswith(".ResidualEncoderUNet")
        assert kwargs["n_blocks_per_stage"] == [1, 3, 4, 6]
        assert kwargs["n_conv_per_stage_decoder"] == [1, 1, 1]
    else:
        assert architecture["network_class_name"].endswith(".PlainConvUNet")
        assert kwargs["n_conv_per_stage"] == [2] * 4
    assert list(kwargs)[:6] == [
        "n_stages",
        "features_per_stage",
        "conv_op",
        "kernel_sizes",
        "strides",
        "n_blocks_per_stage" if issubclass(planner_class, ResEncUNetPlanner) else "n_conv_per_stage",
    ]


def test_the_residual_encoder_planner_is_one_class_in_two_places():
    assert resencUNet_planner.ResEncUNetPlanner is ResEncUNetPlanner


@pytest.mark.parametrize("planner_class", SHARED_DATA[1:])
def test_another_memory_target_than_the_presets_is_warned_about(planning_dataset, planner_class):
    with pytest.warns(UserWarning, match="overwrite_plans_name"):
        planner_class(planning_dataset("G4"), gpu_memory_target_in_gb=12)


@pytest.mark.parametrize("planner_class", SHARED_DATA)
def test_residual_presets_share_the_data_of_the_default_planner(planning_dataset, planner_class):
    planner = planner_class(planning_dataset("G4"), plans_name="Renamed")
    assert planner.generate_data_identifier("2d") == "nnUNetPlans_2d"
    assert planner.generate_data_identifier("3d_fullres") == "nnUNetPlans_3d_fullres"
    assert planner.generate_data_identifier("3d_lowres") == "Renamed_3d_lowres"


@pytest.mark.parametrize(
    "setting",
    [{"overwrite_target_spacing": [1.0, 1.0, 2.0]}, {"preprocessor_name": "Other"}, {"suppress_transpose": True}],
)
def test_data_that_differ_are_not_shared(planning_dataset, setting):
    planner = nnUNetPlannerResEncL(planning_dataset("G4"), **setting)
    assert planner.generate_data_identifier("3d_fullres") == "nnUNetResEncUNetLPlans_3d_fullres"


RESAMPLED = {
    nnUNetPlannerResEncL_noResampling: ("no_resampling_hack", {}),
    nnUNetPlannerResEncL_torchres: ("resample_torch_fornnunet", {"force_separate_z": False}),
    nnUNetPlanner_torchres: ("resample_torch_fornnunet", {"force_separate_z": False}),
    nnUNetPlannerResEncL_torchres_sepz: (
        "resample_torch_fornnunet",
        {"force_separate_z": None, "separate_z_anisotropy_threshold": 3},
    ),
}


@pytest.mark.parametrize("planner_class", RESAMPLED)
def test_planners_with_other_resampling(planning_dataset, planner_class):
    plans = planner_class(planning_dataset("G4")).plan_experiment()
    function, arguments = RESAMPLED[planner_class]
    for name, configuration in plans["configurations"].items():
        assert configuration["data_identifier"] == f"{plans['plans_name']}_{name}"
        for target, is_seg in (("data", False), ("seg", True), ("probabilities", False)):
            assert configuration[f"resampling_fn_{target}"] == function
            expected = {"is_seg": is_seg, "memefficient_seg_resampling": False, **arguments} if arguments else {}
            assert configuration[f"resampling_fn_{target}_kwargs"] == expected


def test_every_planned_resampling_function_exists():
    for function, _ in RESAMPLED.values():
        assert callable(recursive_find_resampling_fn_by_name(function))
