"""Plans for the tiny data set, as a planner would make them."""

from __future__ import annotations

import json

import pytest

INTENSITIES = {"mean": 120.0, "median": 118.0, "std": 45.0, "min": -60.0, "max": 290.0}
INTENSITIES |= {"percentile_00_5": -20.0, "percentile_99_5": 260.0}


def resampling(**changes):
    """The three resampling entries of a configuration."""
    entries = {}
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        entries[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        kwargs = {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
        entries[f"resampling_fn_{kind}_kwargs"] = kwargs | changes
    return entries


def make_plans(dataset_name="Dataset997_Tiny", transpose=(1, 0, 2)):
    """Plans with an isotropic, an anisotropic and a 2D configuration; channel 0 is CT, channel 1 MRI."""
    shared = {
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
        "use_mask_for_norm": [False, True],
        "batch_dice": False,
        "architecture": {"network_class_name": "none", "arch_kwargs": {}, "_kw_requires_import": []},
        **resampling(),
    }
    three = {"patch_size": [16, 16, 16], "median_image_size_in_voxels": [20, 20, 20]}
    two = {"patch_size": [16, 16], "median_image_size_in_voxels": [20, 20]}
    return {
        "dataset_name": dataset_name,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": [list(transpose).index(axis) for axis in range(3)],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITIES, "1": INTENSITIES},
        "configurations": {
            "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres", "spacing": [1.5, 1.5, 1.5], **three, **shared},
            "thick": {"data_identifier": "nnUNetPlans_thick", "spacing": [1.2, 5.0, 1.3], **three, **shared},
            "2d": {"data_identifier": "nnUNetPlans_2d", "spacing": [2.0, 1.0], **two, **shared},
        },
    }


@pytest.fixture
def plans():
    """See ``make_plans``."""
    return make_plans()


@pytest.fixture
def planned_dataset(tiny_dataset, folders):
    """The raw folder of the tiny data set, with plans and dataset.json in the preprocessed folder."""
    target = folders["nnUNet_preprocessed"] / tiny_dataset.name
    target.mkdir()
    (target / "dataset.json").write_text((tiny_dataset / "dataset.json").read_text())
    (target / "nnUNetPlans.json").write_text(json.dumps(make_plans(tiny_dataset.name)))
    return tiny_dataset
