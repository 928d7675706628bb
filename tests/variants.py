"""Variants of the tiny data set, and what every test of a configuration does with the real commands.

Each variant changes what ``write_tiny_dataset`` wrote; label maps keep their geometry.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import plan_and_preprocess_entry, preprocess_entry
from nnunetv2.inference.commands import predict_entry_point
from nnunetv2.run.run_training import run_training_entry

TRAINER = "TwoStepTrainer"
TRAINER_FILE = f"""
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class {TRAINER}(nnUNetTrainer):
    num_epochs = 1
    num_iterations_per_epoch = 2
    num_val_iterations_per_epoch = 2
"""
NUMBER, NAME = "997", "Dataset997_Tiny"
REGIONS = {"background": 0, "whole": [1, 2], "core": 2}


def edit_json(path: Path, **entries: Any) -> None:
    """Set top-level entries of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | entries, indent=4))


def edit_labels(raw: Path, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
    """Replace every label map (Z, Y, X) by ``change(array, index)``."""
    for index, path in enumerate(sorted((raw / "labelsTr").iterdir())):
        image = sitk.ReadImage(str(path))
        changed = sitk.GetImageFromArray(change(sitk.GetArrayFromImage(image), index))
        changed.CopyInformation(image)
        sitk.WriteImage(changed, str(path))


def keep_every_third_slice(seg: np.ndarray, index: int) -> np.ndarray:
    """Sparse annotation by slices: label 3 (ignore) everywhere else."""
    kept = np.arange(len(seg)) % 3 == index % 3
    return np.where(kept[:, None, None], seg, 3).astype(np.uint8)


def scribble(seg: np.ndarray, index: int) -> np.ndarray:
    """Sparse annotation by strokes: 5 % of the voxels, along lines, keep their label."""
    kept = np.zeros(seg.shape, dtype=bool)
    kept[::4, ::5] = True
    return np.where(kept, seg, 3).astype(np.uint8)


def unet(ndim: int, n_stages: int = 3, first_axis_kept: bool = False) -> dict[str, Any]:
    """Entry ``architecture`` of a small plain U-Net; the coarse first axis may keep its size."""
    step = [1 if first_axis_kept else 2, *[2] * (ndim - 1)]
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": n_stages,
            "features_per_stage": [4, 8, 8, 8][:n_stages],
            "conv_op": f"torch.nn.modules.conv.Conv{ndim}d",
            "kernel_sizes": [[3] * ndim] * n_stages,
            "strides": [[1] * ndim, *[step] * (n_stages - 1)],
            "n_conv_per_stage": [1] * n_stages,
            "n_conv_per_stage_decoder": [1] * (n_stages - 1),
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{ndim}d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def small(base: str = "3d_fullres", patch: Sequence[int] = (8, 16, 16), **entries: Any) -> dict[str, Any]:
    """A configuration that inherits from ``base`` and has a small network and patch."""
    return {
        "inherits_from": base,
        "data_identifier": "small",
        "patch_size": list(patch),
        "batch_size": 2,
        "architecture": unet(len(patch)),
    } | entries


class Project:
    """The tiny data set below the three folder variables, driven by the commands."""

    def __init__(self, folders: dict[str, Path], raw: Path):
        self.raw = raw
        self.preprocessed = folders["nnUNet_preprocessed"] / raw.name
        self.results = folders["nnUNet_results"] / raw.name
        self.plans_file = self.preprocessed / "nnUNetPlans.json"

    def prepare(self, check: bool = True, **configurations: dict[str, Any]) -> None:
        """Check, measure, plan; add ``configurations`` by hand; preprocess those that have data of their own."""
        verify = ["--verify_dataset_integrity"] if check else []
        plan_and_preprocess_entry(["-d", NUMBER, *verify, "--no_pp", "-npfp", "1", "--no_pbar"])
        plans = json.loads(self.plans_file.read_text())
        plans["configurations"] |= configurations
        self.plans_file.write_text(json.dumps(plans, indent=4))
        own = [name for name, entry in configurations.items() if "data_identifier" in entry]
        preprocess_entry(["-d", NUMBER, "-c", *own, "-np", "1", "--no_pbar"])

    def model(self, configuration: str) -> Path:
        return self.results / f"{TRAINER}__nnUNetPlans__{configuration}"

    def train(self, configuration: str, fold: str = "0", *more: str) -> dict[str, Any]:
        """Train and validate one fold; returns summary.json of the validation."""
        run_training_entry([NUMBER, configuration, fold, "-tr", TRAINER, "-device", "cpu", *more])
        return json.loads((self.model(configuration) / f"fold_{fold}" / "validation" / "summary.json").read_text())

    def trainer(self, configuration: str, fold: int = 0):
        """The trainer object that ``train`` makes, initialized, to look at its batches."""
        from nnunetv2.run.run_training import get_trainer_from_args

        trainer = get_trainer_from_args(NUMBER, configuration, fold, TRAINER, device=torch.device("cpu"))
        trainer.initialize()
        return trainer

    def predict(self, configuration: str, output: Path, *more: str, fold: str = "0") -> list[Path]:
        """Predict the first two training cases; returns the label maps in the order of their names."""
        source = output.parent / "images_to_predict"
        if not source.exists():
            source.mkdir()
            cases = sorted({path.name.rsplit("_", 1)[0] for path in (self.raw / "imagesTr").iterdir()})[:2]
            for case in cases:
                for path in (self.raw / "imagesTr").glob(f"{case}_*"):
                    shutil.copy(path, source)
        flags = ["-tr", TRAINER, "-f", fold, "-device", "cpu", "--disable_tta", "-npp", "1", "-nps", "1"]
        predict_entry_point(["-i", str(source), "-o", str(output), "-d", NUMBER, "-c", configuration, *flags, *more])
        ending = json.loads((self.raw / "dataset.json").read_text())["file_ending"]
        return sorted(path for path in output.iterdir() if path.name.endswith(ending))

    def push_outputs(self, configuration: str, values: Sequence[float], fold: str = "0") -> None:
        """Make the trained network answer ``values`` as logits everywhere, whatever its input."""
        path = self.model(configuration) / f"fold_{fold}" / "checkpoint_final.pth"
        checkpoint = torch.load(path, weights_only=False)
        weights = checkpoint["network_weights"]
        last = max(int(key.split(".")[2]) for key in weights if key.startswith("decoder.seg_layers."))
        prefix = f"decoder.seg_layers.{last}."
        weights[prefix + "weight"].zero_()
        weights[prefix + "bias"].copy_(torch.tensor(values))
        torch.save(checkpoint, path)


def read(path: Path) -> np.ndarray:
    """Label map with its dtype, (Z, Y, X) or (Y, X)."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
