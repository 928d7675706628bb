"""The planner's hooks, its errors, and what it does to files that exist."""

import inspect
import json
import logging
import subprocess
import sys

import numpy as np
import pytest

from nnunetv2.errors import DatasetError, MissingFileError, PlanningError, UsageError
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape
from tests.experiment_planning.fingerprints import STATISTICS

NAME = "Dataset555_Plan"


def saved(folders, identifier="nnUNetPlans"):
    return json.loads((folders["nnUNet_preprocessed"] / NAME / f"{identifier}.json").read_text())


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_the_file_holds_what_is_returned(planning_dataset, folders):
    planner = ExperimentPlanner(planning_dataset("G1"))
    plans = planner.plan_experiment()
    assert planner.plans is plans
    assert saved(folders) == json.loads(json.dumps(plans))
    assert list(saved(folders)) == [
        "dataset_name",
        "plans_name",
        "original_median_spacing_after_transp",
        "original_median_shape_after_transp",
        "image_reader_writer",
        "transpose_forward",
        "transpose_backward",
        "configurations",
        "experiment_planner_used",
        "label_manager",
        "foreground_intensity_properties_per_channel",
    ]
    assert plans["foreground_intensity_properties_per_channel"] == {"0": STATISTICS}
    raw, copy = (folders[f"nnUNet_{kind}"] / NAME / "dataset.json" for kind in ("raw", "preprocessed"))
    assert raw.read_bytes() == copy.read_bytes()


def test_the_constructor_has_the_known_parameters():
    parameters = inspect.signature(ExperimentPlanner).parameters
    assert {name: p.default for name, p in list(parameters.items())[1:]} == {
        "gpu_memory_target_in_gb": 8,
        "preprocessor_name": "DefaultPreprocessor",
        "plans_name": "nnUNetPlans",
        "overwrite_target_spacing": None,
        "suppress_transpose": False,
    }


def test_a_data_set_id_will_do(planning_dataset):
    planning_dataset("G4")
    assert ExperimentPlanner(555).dataset_name == NAME


class CustomPlanner(ExperimentPlanner):
    """Replaces every hook that people replace, in the ways they do it."""

    def __init__(self, dataset_name_or_id, gpu_memory_target_in_gb=8, *args, **kwargs):
        super().__init__(dataset_name_or_id, gpu_memory_target_in_gb, *args, **kwargs)
        self.UNet_base_num_features = 16
        self.UNet_max_features_3d = 48
        self.UNet_blocks_per_stage_encoder = (1,) * 14
        self.UNet_blocks_per_stage_decoder = (3,) * 13
        self.max_dataset_covered = 1
        self.estimates = []

    def determine_resampling(self, *args, **kwargs):
        function, data_kwargs, *_ = super().determine_resampling()
        return resample_data_or_seg_to_shape, {**data_kwargs, "order": 1}, function, {"is_seg": True, "order": 0}

    def determine_segmentation_softmax_export_fn(self, *args, **kwargs):
        return super().determine_segmentation_softmax_export_fn()[0], {"is_seg": False}

    def determine_fullres_target_spacing(self):
        return np.array([2.0, 1.0, 1.0])

    def determine_transpose(self):
        return [1, 0, 2], [1, 0, 2]

    def determine_normalization_scheme_and_whether_mask_is_used_for_norm(self):
        return ["NoNormalization"], [True]

    def generate_data_identifier(self, configuration_name):
        return "mine_" + configuration_name

    def get_plans_for_configuration(self, spacing, median_shape, data_identifier, approximate_n_voxels_dataset, _cache):
        plan = super().get_plans_for_configuration(
            spacing, median_shape, data_identifier, approximate_n_voxels_dataset, _cache
        )
        plan["extra"] = np.float32(0.5)
        return plan

    def plan_experiment(self):
        plans = super().plan_experiment()
        plans["configurations"]["3d_extra"] = {"inherits_from": "3d_fullres", "batch_size": np.int64(7)}
        self.save_plans(plans)
        return plans


def test_a_subclass_can_replace_every_hook(planning_dataset, folders):
    CustomPlanner(planning_dataset("G4"), plans_name="Mine").plan_experiment()
    plans = saved(folders, "Mine")
    full = plans["configurations"]["3d_fullres"]
    assert plans["experiment_planner_used"] == "CustomPlanner"
    assert plans["transpose_forward"] == [1, 0, 2]
    assert full["data_identifier"] == "mine_3d_fullres"
    assert full["spacing"] == [1.0, 2.0, 1.0]
    assert full["normalization_schemes"] == ["NoNormalization"]
    assert full["use_mask_for_norm"] == [True]
    assert full["resampling_fn_data"] == full["resampling_fn_seg"] == "resample_data_or_seg_to_shape"
    assert full["resampling_fn_data_kwargs"]["order"] == 1
    assert full["resampling_fn_seg_kwargs"] == {"is_seg": True, "order": 0}
    assert full["resampling_fn_probabilities_kwargs"] == {"is_seg": False}
    assert full["extra"] == 0.5
    kwargs = full["architecture"]["arch_kwargs"]
    assert kwargs["features_per_stage"][:3] == [16, 32, 48]
    assert set(kwargs["n_conv_per_stage"]) == {1}
    assert set(kwargs["n_conv_per_stage_decoder"]) == {3}
    assert plans["configurations"]["3d_extra"] == {"inherits_from": "3d_fullres", "batch_size": 7}


def test_an_overridden_memory_estimate_is_asked(planning_dataset):
    seen = []

    class Generous(ExperimentPlanner):
        @staticmethod
        def static_estimate_VRAM_usage(
            patch_size, input_channels, output_channels, arch_class_name, arch_kwargs, arch_kwargs_req_import
        ):
            seen.append((input_channels, output_channels, arch_class_name, arch_kwargs["n_stages"]))
            return 1000

    configurations = Generous(planning_dataset("G2")).plan_experiment()["configurations"]
    assert configurations["3d_fullres"]["patch_size"] == (160, 192, 160)
    assert seen[0] == (4, 4, "dynamic_network_architectures.architectures.unet.PlainConvUNet", 6)


def test_estimates_are_not_repeated_within_a_run(planning_dataset):
    seen = []

    class Counting(ExperimentPlanner):
        @staticmethod
        def static_estimate_VRAM_usage(*args):
            seen.append((args[0], str(args[4]["strides"])))
            return ExperimentPlanner.static_estimate_VRAM_usage(*args)

    Counting(planning_dataset("G1")).plan_experiment()
    assert len(seen) == len(set(seen)) > 5


def test_the_network_class_is_imported_only_when_it_is_read(planning_dataset):
    from dynamic_network_architectures.architectures.unet import PlainConvUNet, ResidualEncoderUNet

    planner = ExperimentPlanner(planning_dataset("G4"))
    assert planner.UNet_class is PlainConvUNet
    planner.UNet_class = ResidualEncoderUNet
    planner.encoder_depth_key = "n_blocks_per_stage"
    architecture = planner.plan_experiment()["configurations"]["2d"]["architecture"]
    assert architecture["network_class_name"].endswith("unet.ResidualEncoderUNet")
    assert ExperimentPlanner.UNet_class is PlainConvUNet


def test_resampling_functions_are_callable_under_their_name(planning_dataset):
    function, kwargs, *_ = ExperimentPlanner(planning_dataset("G4")).determine_resampling()
    assert function.__name__ == "resample_data_or_seg_to_shape"
    data = np.zeros((1, 4, 5, 6), dtype=np.float32)
    assert function(data, (8, 5, 6), (2.0, 1.0, 1.0), (1.0, 1.0, 1.0), **kwargs).shape == (1, 8, 5, 6)


def test_memory_target_spacing_and_names_are_settings(planning_dataset, folders):
    name = planning_dataset("G1")
    planner = ExperimentPlanner(name, 24, "OtherPreprocessor", "Other", [1.0, 2.0, 1.0], True)
    full = planner.plan_experiment()["configurations"]["3d_fullres"]
    assert full["spacing"] == [1.0, 2.0, 1.0]
    assert full["preprocessor_name"] == "OtherPreprocessor"
    assert full["data_identifier"] == "Other_3d_fullres"
    assert saved(folders, "Other")["transpose_forward"] == [0, 1, 2]
    small = ExperimentPlanner(name, overwrite_target_spacing=[1.0, 2.0, 1.0]).plan_experiment()
    assert small["transpose_forward"] == [1, 0, 2]
    assert np.prod(full["patch_size"]) > 2 * np.prod(small["configurations"]["3d_fullres"]["patch_size"])


@pytest.mark.parametrize("spacing", [[1, 1, 1], [1.0, 1.0], [1.0, 1.0, -1.0], "1.0"])
def test_a_target_spacing_that_is_not_three_floats_is_refused(planning_dataset, spacing):
    with pytest.raises(UsageError, match="three floats"):
        ExperimentPlanner(planning_dataset("G4"), overwrite_target_spacing=spacing)


def test_planning_again_keeps_what_a_person_added_and_drops_stale_defaults(planning_dataset, folders, caplog):
    ExperimentPlanner(planning_dataset("G1")).plan_experiment()
    path = folders["nnUNet_preprocessed"] / NAME / "nnUNetPlans.json"

    def add(plans):
        plans["configurations"]["3d_fullres_S4D2W32"] = {"inherits_from": "3d_fullres", "batch_size": 5}
        plans["configurations"]["coarse"] = {"inherits_from": "3d_lowres"}
        plans["configurations"]["2d"]["batch_size"] = 1

    edit_json(path, add)
    with caplog.at_level(logging.INFO, "nnunetv2"):
        ExperimentPlanner(planning_dataset("G4")).plan_experiment()
    configurations = saved(folders)["configurations"]
    assert list(configurations) == ["2d", "3d_fullres", "3d_fullres_S4D2W32", "coarse"]
    assert configurations["3d_fullres_S4D2W32"] == {"inherits_from": "3d_fullres", "batch_size": 5}
    assert configurations["2d"]["batch_size"] == 369
    assert "kept the added configuration(s) 3d_fullres_S4D2W32, coarse" in caplog.text
    assert "coarse inherits from 3d_lowres, which is no longer planned" in caplog.text


def test_slices_with_mixed_pixel_spacing_are_planned_in_2d_only(planning_dataset):
    name = planning_dataset(
        spacings=[[999 * 0.4, 0.4, 0.4]] * 3 + [[999, 1.0, 1.0]] * 7, shapes=[[1, 900, 800]] * 10, channels=["gray"]
    )
    planner = ExperimentPlanner(name)
    assert planner.determine_fullres_target_spacing()[0] < 999 / 2  # what would make the depth 2
    assert list(planner.plan_experiment()["configurations"]) == ["2d"]


def test_a_network_of_one_stage_is_an_error(planning_dataset):
    with pytest.raises(PlanningError, match="cannot be pooled even once"):
        ExperimentPlanner(planning_dataset(spacings=[[1, 1, 1]] * 2, shapes=[[7, 7, 7]] * 2)).plan_experiment()


def test_an_absurd_memory_target_is_an_error(planning_dataset):
    with pytest.raises(PlanningError, match="gpu_memory_target"):
        ExperimentPlanner(planning_dataset("G4"), gpu_memory_target_in_gb=1e-12).plan_experiment()


def test_spacing_must_be_positive(planning_dataset):
    with pytest.raises(PlanningError, match="not positive"):
        ExperimentPlanner(planning_dataset("G4")).get_plans_for_configuration([1.0, 0.0], (64, 64), "x", 1e6, {})


def test_channel_keys_out_of_order_are_warned_about(planning_dataset, folders, caplog):
    name = planning_dataset("G2")
    path = folders["nnUNet_raw"] / NAME / "dataset.json"
    edit_json(path, lambda d: d.update(channel_names={"1": "CT", "0": "zscore", "2": "noNorm", "3": "rgb_to_0_1"}))
    with caplog.at_level(logging.WARNING, "nnunetv2"):
        plans = ExperimentPlanner(name).plan_experiment()
    assert caplog.text.count("['1', '0', '2', '3']") == 1
    assert plans["configurations"]["2d"]["normalization_schemes"] == [
        "CTNormalization",
        "ZScoreNormalization",
        "NoNormalization",
        "RGBTo01Normalization",
    ]
    assert plans["configurations"]["2d"]["use_mask_for_norm"] == [False, True, False, False]


def test_modality_is_read_with_a_warning(planning_dataset, folders, caplog):
    name = planning_dataset("G4")
    edit_json(folders["nnUNet_raw"] / NAME / "dataset.json", lambda d: d.update(modality=d.pop("channel_names")))
    with caplog.at_level(logging.WARNING, "nnunetv2"):
        ExperimentPlanner(name).plan_experiment()
    assert "'modality' is the old name" in caplog.text


def test_a_missing_fingerprint_names_the_command(planning_dataset, folders):
    name = planning_dataset("G4")
    (folders["nnUNet_preprocessed"] / NAME / "dataset_fingerprint.json").unlink()
    with pytest.raises(MissingFileError, match="nnUNetv2_extract_fingerprint -d 555") as error:
        ExperimentPlanner(name)
    assert isinstance(error.value, RuntimeError)


def test_missing_folder_dataset_json_and_cases_are_errors_of_their_own(planning_dataset, folders):
    with pytest.raises(MissingFileError, match="Dataset777_Nowhere does not exist"):
        ExperimentPlanner("Dataset777_Nowhere")
    name = planning_dataset("G4")
    path = folders["nnUNet_raw"] / NAME / "dataset.json"
    edit_json(path, lambda d: d.update(dataset={}))
    with pytest.raises(DatasetError, match="no training cases"):
        ExperimentPlanner(name)
    edit_json(path, lambda d: d.pop("numTraining"))
    with pytest.raises(DatasetError, match="numTraining"):
        ExperimentPlanner(name)
    path.unlink()
    with pytest.raises(MissingFileError, match=r"dataset\.json"):
        ExperimentPlanner(name)


SPLITS = [{"train": ["case_0", "case_1"], "val": ["case_2"]}, {"train": ["case_2"], "val": ["case_0", "case_1"]}]


def test_splits_that_come_with_the_raw_data_are_adopted(planning_dataset, folders):
    name = planning_dataset("G4")
    raw, used = (folders[f"nnUNet_{kind}"] / NAME / "splits_final.json" for kind in ("raw", "preprocessed"))
    raw.write_text(json.dumps(SPLITS))
    ExperimentPlanner(name)
    assert raw.read_bytes() == used.read_bytes()


def test_splits_in_use_may_be_ordered_otherwise_and_hold_more_folds_but_not_differ(planning_dataset, folders):
    name = planning_dataset("G4")
    raw, used = (folders[f"nnUNet_{kind}"] / NAME / "splits_final.json" for kind in ("raw", "preprocessed"))
    raw.write_text(json.dumps(SPLITS))
    reordered = [{part: split[part][::-1] for part in split} for split in SPLITS] + [{"train": [], "val": ["x"]}]
    used.write_text(json.dumps(reordered))
    ExperimentPlanner(name)
    assert json.loads(used.read_text()) == reordered
    used.write_text(json.dumps(SPLITS[::-1]))
    with pytest.raises(AssertionError, match="fold 0"):
        ExperimentPlanner(name)
    used.write_text(json.dumps(SPLITS[:1]))
    with pytest.raises(DatasetError, match="fold 1"):
        ExperimentPlanner(name)


def test_plans_can_be_loaded(planning_dataset, folders):
    planner = ExperimentPlanner(planning_dataset("G4"))
    planner.plan_experiment()
    other = ExperimentPlanner(NAME)
    other.load_plans(folders["nnUNet_preprocessed"] / NAME / "nnUNetPlans.json")
    assert other.plans == saved(folders)


def test_planning_does_not_load_torch(planning_dataset, folders):
    planning_dataset("G1")
    code = (
        "import sys; from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments;"
        "plan_experiments([555], 'nnUNetPlannerResEncL'); plan_experiments([555]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
