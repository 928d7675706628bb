"""A preprocessed data set and a trainer so small that training takes seconds on a CPU."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from tests.conftest import write_tiny_dataset

DATASET = "Dataset997_Tiny"
CPU = torch.device("cpu")
CASES = tuple(f"tiny_{i:03d}" for i in range(6))
# Two validation cases; the third fold trains on four.
SPLITS = [
    {"train": list(CASES[1:5]), "val": [CASES[0], CASES[5]]},
    {"train": list(CASES[:4]), "val": list(CASES[4:])},
]

_RESAMPLING = {
    f"resampling_fn_{kind}{suffix}": value
    for kind, order, is_seg in (("data", 3, False), ("seg", 1, True), ("probabilities", 1, False))
    for suffix, value in (
        ("", "resample_data_or_seg_to_shape"),
        ("_kwargs", {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}),
    )
}


def architecture(n_stages: int = 3) -> dict[str, Any]:
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": n_stages,
            "features_per_stage": [4, 8, 8, 8][:n_stages],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * n_stages,
            "strides": [[1, 1, 1], *[[2, 2, 2]] * (n_stages - 1)],
            "n_conv_per_stage": [1] * n_stages,
            "n_conv_per_stage_decoder": [1] * (n_stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def tiny_plans() -> dict[str, Any]:
    """Plans of the tiny data set with the configuration ``tiny``: patch 16 x 16 x 16, three stages, batch 2."""
    intensities = {"mean": 100.0, "std": 50.0, "percentile_00_5": -50.0, "percentile_99_5": 300.0}
    intensities |= {"median": 100.0, "min": -60.0, "max": 320.0}
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.5, 1.0, 1.25],
        "original_median_shape_after_transp": [20, 26, 23],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": intensities, "1": intensities},
        "configurations": {
            "tiny": {
                "data_identifier": "nnUNetPlans_tiny",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": [16, 16, 16],
                "median_image_size_in_voxels": [20.0, 26.0, 23.0],
                "spacing": [2.5, 1.25, 1.25],
                "normalization_schemes": ["CTNormalization", "ZScoreNormalization"],
                "use_mask_for_norm": [False, False],
                **_RESAMPLING,
                "architecture": architecture(),
                "batch_dice": True,
            }
        },
    }


def write_preprocessed(root: Path, raw_root: Path) -> Path:
    """Preprocess the tiny data set for ``tiny`` in this process; returns its folder below ``root``."""
    raw = write_tiny_dataset(raw_root)
    base = root / DATASET
    plans, dataset_json = tiny_plans(), json.loads((raw / "dataset.json").read_text())
    manager = PlansManager(plans)
    configuration = manager.get_configuration("tiny")
    folder = base / configuration.data_identifier
    folder.mkdir(parents=True)
    shutil.copytree(raw / "labelsTr", base / "gt_segmentations")
    shutil.copy(raw / "dataset.json", base / "dataset.json")
    (base / "nnUNetPlans.json").write_text(json.dumps(plans))
    (base / "dataset_fingerprint.json").write_text("{}")
    (base / "splits_final.json").write_text(json.dumps(SPLITS))
    preprocessor = DefaultPreprocessor(verbose=False)
    for case in CASES:
        images = [str(raw / "imagesTr" / f"{case}_{channel:04d}.nii.gz") for channel in (0, 1)]
        label = str(raw / "labelsTr" / f"{case}.nii.gz")
        data, seg, properties = preprocessor.run_case(images, label, manager, configuration, dataset_json)
        nnUNetDatasetBlosc2.save_case(data, seg, properties, str(folder / case))
    return base


class TinyTrainer(nnUNetTrainer):
    """Two epochs of two iterations."""

    num_epochs = 2
    num_iterations_per_epoch = 2
    num_val_iterations_per_epoch = 2


TINY_TRAINER_FILE = """
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class TinyTrainer(nnUNetTrainer):
    num_epochs = 2
    num_iterations_per_epoch = 2
    num_val_iterations_per_epoch = 2
"""


def dataset_json_of(folders: dict[str, Path]) -> dict[str, Any]:
    return json.loads((folders["nnUNet_preprocessed"] / DATASET / "dataset.json").read_text())


def make_trainer(folders: dict[str, Path], trainer_class: type = TinyTrainer, fold: int | str = 0) -> nnUNetTrainer:
    """A trainer on the CPU for the preprocessed tiny data set."""
    return trainer_class(tiny_plans(), "tiny", fold, dataset_json_of(folders), device=CPU)
