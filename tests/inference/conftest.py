"""A small model made of dictionaries, and networks of a few lines."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

RESAMPLING = {
    f"resampling_fn_{kind}{suffix}": value
    for kind, seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1))
    for suffix, value in (
        ("", "resample_data_or_seg_to_shape"),
        ("_kwargs", {"is_seg": seg, "order": order, "order_z": 0, "force_separate_z": None}),
    )
}

LABELS = {"background": 0, "shell": 1, "core": 2}
REGIONS = {"background": 0, "whole": [1, 2], "core": [2]}


def make_plans(
    patch_size=(8, 8, 8),
    spacing=(1.0, 1.0, 1.0),
    transpose_forward=(0, 1, 2),
    channels=1,
    previous_stage=None,
    **entries,
) -> dict:
    """Plans with one configuration ``small`` (and ``first``, its previous stage, when asked for)."""
    small = {
        "data_identifier": "small",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch_size),
        "median_image_size_in_voxels": list(patch_size),
        "spacing": list(spacing),
        "normalization_schemes": ["NoNormalization"] * channels,
        "use_mask_for_norm": [False] * channels,
        "batch_dice": False,
        "architecture": {"network_class_name": "torch.nn.Identity", "arch_kwargs": {}, "_kw_requires_import": []},
        **RESAMPLING,
        **entries,
    }
    configurations = {"small": small}
    if previous_stage:
        configurations["first"] = copy.deepcopy(small)
        small["previous_stage"] = "first"
    return {
        "dataset_name": "Dataset997_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [9, 14, 11],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose_forward),
        "transpose_backward": np.argsort(transpose_forward).tolist(),
        "configurations": configurations,
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): {"mean": 0.0, "std": 1.0} for i in range(channels)},
    }


def make_dataset_json(labels=None, channels=1, regions_class_order=None) -> dict:
    content = {
        "channel_names": {str(i): "CT" for i in range(channels)},
        "labels": labels or LABELS,
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    return content if regions_class_order is None else content | {"regions_class_order": regions_class_order}


def make_predictor(
    network, plans=None, dataset_json=None, parameters=None, mirroring_axes=None, **settings
) -> nnUNetPredictor:
    """A predictor on the CPU that uses ``network``, with torch unless ``engine`` says otherwise."""
    settings.setdefault("engine", "torch")
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, **settings)
    plans_manager = PlansManager(plans or make_plans())
    predictor.manual_initialization(
        network,
        plans_manager,
        plans_manager.get_configuration("small"),
        parameters,
        dataset_json or make_dataset_json(),
        "nnUNetTrainer",
        mirroring_axes,
    )
    return predictor


class Thresholds:
    """Labels 0, 1, 2 for intensities below 50, below 150 and above: sharp logits (1, 3, *patch); counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, batch):
        self.calls += 1
        x = batch[:, :1]
        return torch.cat([50 - x, 25 - (x - 100).abs() + 25, x - 150], dim=1)


def write_image(path, array, spacing_zyx=(1.0, 1.0, 1.0)):
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.asarray(array, dtype=np.float32))
    image.SetSpacing([float(s) for s in spacing_zyx[::-1]])
    image.SetOrigin((1.0, -2.0, 3.0))
    sitk.WriteImage(image, str(path))


def read_image(path) -> np.ndarray:
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def labelled_image(shape=(9, 14, 11), seed=0) -> tuple[np.ndarray, np.ndarray]:
    """A volume of labels 0, 1, 2 (blocks) and an image with intensities 10, 100, 200 for them; no zeros to crop."""
    labels = np.zeros(shape, dtype=np.uint8)
    labels[2:7, 3:10, 2:8] = 1
    labels[4:6, 5:8, 4 : 6 + seed] = 2
    return labels, np.array([10.0, 100.0, 200.0], dtype=np.float32)[labels]


@pytest.fixture(autouse=True)
def seeded():
    """The same random tensors in every run, without a trace outside the test."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def image_folder(tmp_path) -> SimpleNamespace:
    """Three cases of one channel in ``folder``; ``labels`` maps their names to the labels Thresholds finds."""
    folder = tmp_path / "images"
    folder.mkdir()
    labels = {}
    for index, name in enumerate(("case_a", "case_b", "case_c")):
        labels[name], image = labelled_image(seed=index)
        write_image(folder / f"{name}_0000.nii.gz", image)
    return SimpleNamespace(folder=folder, labels=labels)
