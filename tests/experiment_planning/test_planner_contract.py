"""Every planner goes through the same checks; a new file below ``experiment_planners`` is covered as it is."""

from __future__ import annotations

import inspect
import json
import warnings
from os.path import dirname

import numpy as np
import pytest
import torch

from nnunetv2 import experiment_planning
from nnunetv2.experiment_planning import experiment_planners
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.families import members_below

PLANNERS = members_below(
    experiment_planners, lambda member: inspect.isclass(member) and issubclass(member, ExperimentPlanner)
)
every_planner = pytest.mark.parametrize("planner_class", PLANNERS, ids=lambda planner: planner.__name__)
# Small isotropic 3D, pictures, thick slices.
every_data_set = pytest.mark.parametrize("case", ["G4", "G3", "G5"])


@pytest.fixture
def make(planning_dataset):
    """Function that makes a planner for a data set; a warning about its memory target is no concern here."""

    def build(planner_class, case, **settings):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            return planner_class(planning_dataset(case), **settings)

    return build


def test_the_family_is_found():
    assert len(PLANNERS) >= 9
    assert ExperimentPlanner in PLANNERS


@every_planner
def test_it_is_found_by_its_name_and_constructed_like_the_default_one(planner_class):
    found = recursive_find_python_class(
        dirname(experiment_planning.__file__), planner_class.__name__, experiment_planning.__name__
    )
    assert found is planner_class
    assert list(inspect.signature(planner_class).parameters) == list(inspect.signature(ExperimentPlanner).parameters)


def test_no_two_planners_write_the_same_file():
    names = [inspect.signature(planner).parameters["plans_name"].default for planner in PLANNERS]
    assert len(set(names)) == len(names)


@every_planner
@every_data_set
def test_its_plans_are_written_as_returned_and_the_same_each_time(make, folders, planner_class, case):
    planner = make(planner_class, case)
    plans = planner.plan_experiment()
    file = folders["nnUNet_preprocessed"] / planner.dataset_name / f"{planner.plans_identifier}.json"
    assert json.loads(file.read_text()) == json.loads(json.dumps(plans))
    assert json.loads(json.dumps(make(planner_class, case).plan_experiment())) == json.loads(json.dumps(plans))
    assert plans["experiment_planner_used"] == planner_class.__name__
    assert plans["plans_name"] == planner.plans_identifier


@every_planner
@every_data_set
def test_everything_its_plans_name_exists(make, planner_class, case):
    manager = PlansManager(make(planner_class, case).plan_experiment())
    assert "2d" in manager.available_configurations
    assert manager.image_reader_writer_class is not None
    assert manager.label_manager_class is not None
    for name in manager.available_configurations:
        configuration = manager.get_configuration(name)
        assert configuration.preprocessor_class.__name__ == "DefaultPreprocessor"
        for function in ("data", "seg", "probabilities"):
            assert callable(getattr(configuration, f"resampling_fn_{function}"))
        assert len(configuration.normalization_schemes) == len(configuration.use_mask_for_norm)


@every_planner
@every_data_set
def test_its_networks_are_built_and_fit_patch_and_memory(make, planner_class, case):
    planner = make(planner_class, case)
    manager = PlansManager(planner.plan_experiment())
    for name in manager.available_configurations:
        configuration = manager.get_configuration(name)
        architecture = (
            configuration.network_arch_class_name,
            configuration.network_arch_init_kwargs,
            configuration.network_arch_init_kwargs_req_import,
        )
        with torch.device("meta"):
            network = get_network_from_plans(*architecture, 3, 4, allow_init=False)
        assert next(network.parameters()).shape[1] == 3
        patch, dimensions = configuration.patch_size, len(configuration.patch_size)
        assert len(configuration.spacing) == dimensions
        total_stride = np.prod(configuration.pool_op_kernel_sizes, axis=0)
        assert not np.any(np.mod(patch, total_stride))
        assert np.all(np.divide(patch, total_stride) >= planner.UNet_featuremap_min_edge_length)
        limit = planner.UNet_max_features_2d if dimensions == 2 else planner.UNet_max_features_3d
        assert max(configuration.network_arch_init_kwargs["features_per_stage"]) <= limit
        dimension = f"{dimensions}d"
        samples = getattr(planner, f"UNet_reference_val_corresp_bs_{dimension}")
        reference = getattr(planner, f"UNet_reference_val_{dimension}") / samples
        channels, labels = (len(planner.dataset_json[key]) for key in ("channel_names", "labels"))
        estimate = planner.static_estimate_VRAM_usage(patch, channels, labels, *architecture) / samples
        memory = planner.UNet_vram_target_GB / planner.UNet_reference_val_corresp_GB
        fitting = reference * samples * memory / estimate
        assert planner.UNet_min_batch_size <= fitting
        assert configuration.batch_size <= fitting + 0.5  # rounded
        assert configuration.batch_size >= planner.UNet_min_batch_size


@every_planner
def test_a_name_given_is_the_name_of_plans_and_data(make, folders, planner_class):
    planner = make(planner_class, "G4", plans_name="MyPlans", preprocessor_name="MyPreprocessor")
    plans = planner.plan_experiment()
    assert plans["plans_name"] == "MyPlans"
    assert (folders["nnUNet_preprocessed"] / planner.dataset_name / "MyPlans.json").is_file()
    for name, configuration in plans["configurations"].items():
        assert configuration["preprocessor_name"] == "MyPreprocessor"
        assert configuration["data_identifier"] == f"MyPlans_{name}"


@every_planner
def test_a_target_spacing_given_is_the_one_of_the_full_resolution(make, planner_class):
    plans = make(planner_class, "G4", overwrite_target_spacing=[2.0, 1.5, 1.25]).plan_experiment()
    forward = plans["transpose_forward"]
    spacing = plans["configurations"]["3d_fullres"]["spacing"]
    assert list(spacing) == [[2.0, 1.5, 1.25][axis] for axis in forward]


@every_planner
def test_the_transposition_can_be_suppressed(make, planner_class):
    plans = make(planner_class, "G4", suppress_transpose=True).plan_experiment()
    assert plans["transpose_forward"] == plans["transpose_backward"] == [0, 1, 2]


@every_planner
def test_more_memory_never_means_less_to_learn_from(make, planner_class):
    def voxels(gigabytes):
        plans = make(planner_class, "G1", gpu_memory_target_in_gb=gigabytes).plan_experiment()
        configuration = plans["configurations"]["3d_fullres"]
        return configuration["batch_size"] * np.prod(configuration["patch_size"])

    own = inspect.signature(planner_class).parameters["gpu_memory_target_in_gb"].default
    assert voxels(own / 2) < voxels(own) < voxels(2 * own)
