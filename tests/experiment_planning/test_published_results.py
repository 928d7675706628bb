"""Planning results of upstream for six fingerprints and four planners, cell by cell, and of the FLARE24 data set."""

import pytest

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)

PLANNERS = (ExperimentPlanner, nnUNetPlannerResEncM, nnUNetPlannerResEncL, nnUNetPlannerResEncXL)

# Patch and batch size for the four planners; "-" where the configuration is not planned.
CELLS = """
G1 2d         512x512/12      512x512/12      512x512/35      512x512/52
G1 3d_fullres 48x224x192/2    48x192x192/2    64x320x256/2    80x320x320/2
G1 3d_lowres  64x192x192/2    64x192x192/2    -               -
G2 2d         192x160/105     192x160/107     192x160/301     192x160/444
G2 3d_fullres 128x128x128/2   128x128x128/2   160x192x160/3   160x192x160/5
G2 3d_lowres  -               -               -               -
G3 2d         1280x1024/2     512x512/13      896x768/13      1024x1024/13
G3 3d_fullres -               -               -               -
G4 2d         56x40/369       56x40/1618      56x40/4554      56x40/6711
G4 3d_fullres 40x56x40/9      40x56x40/58     40x56x40/178    40x56x40/185
G4 3d_lowres  -               -               -               -
G5 2d         224x256/56      224x256/57      224x256/161     224x256/238
G5 3d_fullres 20x224x256/4    20x224x256/3    20x224x256/10   20x224x256/17
G5 3d_lowres  -               -               -               -
G6 2d         512x512/12      512x512/13      512x512/35      512x512/52
G6 3d_fullres 56x192x192/2    48x192x192/2    80x256x256/2    80x320x320/2
G6 3d_lowres  64x192x192/2    64x192x192/2    -               -
"""


def expected_plans():
    """One entry per data set and planner: its configurations as ``{name: cell}``."""
    columns = {}
    for row in CELLS.strip().splitlines():
        case, configuration, *cells = row.split()
        for planner, cell in zip(PLANNERS, cells):
            columns.setdefault((case, planner), {})[configuration] = cell
    return [pytest.param(*key, cells, id=f"{key[0]}-{key[1].__name__}") for key, cells in columns.items()]


@pytest.mark.parametrize(("case", "planner", "cells"), expected_plans())
def test_patch_and_batch_sizes(planning_dataset, case, planner, cells):
    configurations = planner(planning_dataset(case)).plan_experiment()["configurations"]
    got = {
        name: "x".join(map(str, planned["patch_size"])) + f"/{planned['batch_size']}"
        for name, planned in configurations.items()
        if name != "3d_cascade_fullres"
    }
    assert got == {name: cell for name, cell in cells.items() if cell != "-"}
    assert ("3d_cascade_fullres" in configurations) == (cells.get("3d_lowres", "-") != "-")


def plan(planning_dataset, case, planner=ExperimentPlanner):
    plans = planner(planning_dataset(case)).plan_experiment()
    return plans, plans["configurations"]


def test_further_values_of_g1(planning_dataset):
    _, configurations = plan(planning_dataset, "G1")
    full, low = configurations["3d_fullres"], configurations["3d_lowres"]
    assert full["spacing"] == [2.6, 0.8, 0.8]
    assert full["median_image_size_in_voxels"] == [127.0, 512.0, 512.0]
    assert low["spacing"] == [2.8410902000000005, 1.444888987735532, 1.444888987735532]
    assert list(low["median_image_size_in_voxels"]) == [116, 283, 283]
    assert all(isinstance(n, int) for n in low["median_image_size_in_voxels"])
    assert (full["batch_dice"], low["batch_dice"], configurations["2d"]["batch_dice"]) == (True, False, True)
    kwargs = full["architecture"]["arch_kwargs"]
    assert kwargs["strides"] == [[1, 1, 1], [1, 2, 2], [2, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2]]
    assert kwargs["kernel_sizes"] == [[1, 3, 3]] + [[3, 3, 3]] * 5
    assert low["next_stage"] == "3d_cascade_fullres"
    assert configurations["3d_cascade_fullres"] == {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    assert list(configurations) == ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"]


def test_without_a_low_resolution_the_loss_is_per_sample(planning_dataset):
    _, configurations = plan(planning_dataset, "G1", nnUNetPlannerResEncL)
    assert configurations["3d_fullres"]["batch_dice"] is False
    assert list(configurations) == ["2d", "3d_fullres"]


def test_further_values_of_g2(planning_dataset):
    plans, configurations = plan(planning_dataset, "G2")
    for name in ("2d", "3d_fullres"):
        assert configurations[name]["use_mask_for_norm"] == [True] * 4
        assert configurations[name]["normalization_schemes"] == ["ZScoreNormalization"] * 4
    assert configurations["3d_fullres"]["median_image_size_in_voxels"] == [138.5, 170.5, 137.5]
    assert plans["original_median_shape_after_transp"] == [138, 170, 138]


def test_further_values_of_g4_and_g5(planning_dataset):
    plans, configurations = plan(planning_dataset, "G4")
    assert configurations["3d_fullres"]["median_image_size_in_voxels"] == [35.5, 50.5, 35.5]
    assert plans["original_median_shape_after_transp"] == [36, 50, 36]
    _, configurations = plan(planning_dataset, "G5")
    assert configurations["3d_fullres"]["spacing"] == [5.4, 1.5, 1.5]
    assert configurations["3d_fullres"]["median_image_size_in_voxels"] == [17.0, 217.0, 239.0]


def test_further_values_of_g6(planning_dataset):
    plans, configurations = plan(planning_dataset, "G6")
    assert plans["transpose_forward"] == [2, 0, 1]
    assert plans["transpose_backward"] == [1, 2, 0]
    full, low = configurations["3d_fullres"], configurations["3d_lowres"]
    assert full["spacing"] == [2.2, 0.75, 0.75]
    assert full["median_image_size_in_voxels"] == [136.0, 512.0, 512.0]
    assert low["spacing"] == [2.705722503934715, 1.3545834260020606, 1.3545834260020606]
    assert list(low["median_image_size_in_voxels"]) == [111, 283, 283]


FINE, COARSE = 0.8037109375, 0.805


def flare24_like():
    """Eleven cases with the medians and percentiles of the 5000 published ones."""
    z = [(3.0, 90)] * 4 + [(1.0, 307)] * 3 + [(3.0, 121)] * 4
    x = [(COARSE, 512)] * 5 + [(FINE, 513)] + [(FINE, 512)] * 5
    return {
        "spacings": [[sz, FINE, sx] for (sz, _), (sx, _) in zip(z, x)],
        "shapes": [[nz, 512, nx] for (_, nz), (_, nx) in zip(z, x)],
        "num_training": 5000,
    }


def test_planning_flare24_again(planning_dataset):
    plans = ExperimentPlanner(planning_dataset(**flare24_like())).plan_experiment()
    assert plans["original_median_spacing_after_transp"] == [3.0, FINE, FINE]
    assert plans["original_median_shape_after_transp"] == [121, 512, 512]
    configurations = plans["configurations"]
    full, low, flat = configurations["3d_fullres"], configurations["3d_lowres"], configurations["2d"]
    assert full["median_image_size_in_voxels"] == [307.0, 512.0, 513.0]
    assert full["spacing"] == [1.0, FINE, FINE]
    assert (list(full["patch_size"]), full["batch_size"], full["batch_dice"]) == ([96, 160, 160], 2, True)
    assert low["spacing"] == [2.0327941064604045, 1.6337788570477656, 1.6337788570477656]
    assert list(low["median_image_size_in_voxels"]) == [151, 252, 252]
    assert (list(low["patch_size"]), low["batch_size"], low["batch_dice"]) == ([96, 160, 160], 2, False)
    assert (list(flat["patch_size"]), flat["batch_size"]) == ([512, 640], 10)
