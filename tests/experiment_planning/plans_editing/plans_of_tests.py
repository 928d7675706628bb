"""Small but whole plans, in both layouts, and the folder they normally lie in."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from nnunetv2.records.plans import LEGACY_KEYS, architecture_entry

FLARE24 = (
    Path(__file__).resolve().parents[3]
    / "nnUNet_results/Dataset024_FLARE24_Task1/nnUNetTrainer__nnUNetPlans__3d_fullres_S4D2W32"
)
DATASET = "Dataset001_Tiny"


def resampling() -> dict[str, Any]:
    """The three resampling functions with their arguments."""
    entries: dict[str, Any] = {}
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        entries[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        entries[f"resampling_fn_{kind}_kwargs"] = {
            "is_seg": is_seg,
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    return entries


def configuration(name: str, spacing: list[float], patch: list[int], stages: int) -> dict[str, Any]:
    """A configuration with a plain U-Net of the current layout."""
    dim = len(patch)
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [60.0, 120.0, 120.0][-dim:],
        "spacing": spacing,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling(),
        "architecture": architecture_entry(
            "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            dim,
            [32 * 2**stage for stage in range(stages)],
            [[3] * dim for _ in range(stages)],
            [[1 if stage == 0 else 2] * dim for stage in range(stages)],
            {"n_conv_per_stage": [2] * stages, "n_conv_per_stage_decoder": [2] * (stages - 1)},
        ),
        "batch_dice": True,
    }


def current_plans() -> dict[str, Any]:
    """2d, low resolution, full resolution and a cascade, in the current layout."""
    lowres = configuration("3d_lowres", [3.0, 2.0, 2.0], [32, 64, 64], 4) | {"next_stage": "3d_cascade_fullres"}
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.5, 1.0, 1.0],
        "original_median_shape_after_transp": [60, 120, 120],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "2d": configuration("2d", [1.0, 1.0], [64, 64], 4),
            "3d_lowres": lowres,
            "3d_fullres": configuration("3d_fullres", [1.5, 1.0, 1.0], [32, 64, 64], 4),
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {
                "max": 1500.0,
                "mean": 40.0,
                "median": 35.0,
                "min": -900.0,
                "percentile_00_5": -100.0,
                "percentile_99_5": 300.0,
                "std": 80.0,
            }
        },
    }


def older_plans() -> dict[str, Any]:
    """The same with the network entries of before v2.3, as far as a test needs them: one configuration and a child."""
    plans = current_plans()
    parent = plans["configurations"]["3d_fullres"]
    del parent["architecture"]
    parent |= dict(
        zip(
            LEGACY_KEYS,
            ("PlainConvUNet", 32, [2] * 4, [2] * 3, [3] * 3, [[1] * 3] + [[2] * 3] * 3, [[3] * 3] * 4, 320),
        )
    )
    plans["configurations"] = {"3d_fullres": parent, "child": {"inherits_from": "3d_fullres", "batch_size": 4}}
    return copy.deepcopy(plans)


def dataset_json() -> dict[str, Any]:
    return {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 5,
        "file_ending": ".nii.gz",
    }


def write_plans(root: Path, plans: Any, name: str = "nnUNetPlans.json") -> Path:
    """Plans and dataset.json in the folder of the data set below ``root``; returns the path of the plans."""
    folder = root / DATASET
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(dataset_json()))
    path = folder / name
    path.write_text(json.dumps(plans, indent=4))
    return path
