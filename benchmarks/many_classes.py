"""Peak memory of prediction against the number of classes and the number of slices.

A network of few 1 x 1 x 1 convolutions with random weights predicts a phantom of 512 x 512 x SLICES voxels of
0.8 x 0.8 x 1 mm at 1.5 mm, once with 2 classes and once with CLASSES, then twice the slices. Each run is a process of
its own; its peak includes Python, torch and the image. With --upstream the same is measured with upstream, on
--upstream-slices only: it holds every class at full resolution (about 10 bytes per class and voxel).

    python -m benchmarks.many_classes
    python -m benchmarks.many_classes --slices 60 --classes 20 --upstream UPSTREAM_PYTHON
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.process_tree import Measurement, measure

PATCH = (64, 96, 96)
SPACING_ZYX = (1.0, 0.8, 0.8)
MIB = 2**20


def write_phantom(folder: Path, slices: int) -> None:
    """One CT-like image without zeros at the border, int16."""
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in (slices, 512, 512))
    plane = 300 * np.cos(9 * y[:, None]) + 200 * np.sin(7 * x[None]) + 1
    volume = np.empty((slices, 512, 512), np.int16)
    for index, height in enumerate(z):
        volume[index] = plane + 100 * np.cos(5 * height)
    image = sitk.GetImageFromArray(volume)
    image.SetSpacing(SPACING_ZYX[::-1])
    sitk.WriteImage(image, str(folder / "phantom_0000.nii.gz"), True)


def write_model(folder: Path, classes: int) -> None:
    """A model folder with a network of one stage, ``classes`` outputs, patch ``PATCH`` and spacing 1.5 mm."""
    resampling = {}
    for kind, is_seg, order in (("data", False, 3), ("seg", True, 1), ("probabilities", False, 1)):
        resampling[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        settings = {"is_seg": is_seg, "order": order, "order_z": 0, "force_separate_z": None}
        resampling[f"resampling_fn_{kind}_kwargs"] = settings
    network = {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": 2,
            "features_per_stage": [4, 4],
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[1, 1, 1], [1, 1, 1]],
            "strides": [[1, 1, 1], [2, 2, 2]],
            "n_conv_per_stage": [1, 1],
            "n_conv_per_stage_decoder": [1],
            "conv_bias": True,
            "norm_op": None,
            "norm_op_kwargs": {},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(PATCH),
        "median_image_size_in_voxels": list(PATCH),
        "spacing": [1.5, 1.5, 1.5],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "batch_dice": False,
        "architecture": network,
        **resampling,
    }
    statistics = {"percentile_00_5": -600.0, "percentile_99_5": 600.0, "mean": 0.0, "std": 250.0}
    statistics |= {"min": -600.0, "max": 600.0, "median": 0.0}
    plans = {
        "dataset_name": "Dataset990_ManyClasses",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(SPACING_ZYX),
        "original_median_shape_after_transp": [400, 512, 512],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
    }
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, **{f"class_{i}": i for i in range(1, classes)}},
        "numTraining": 1,
        "file_ending": ".nii.gz",
    }
    (folder / "fold_0").mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset))
    _write_checkpoint(folder, plans, dataset)


def _write_checkpoint(folder: Path, plans: dict, dataset: dict) -> None:
    from nnunetv2.networks.build import build_network
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.manual_seed(0)
    manager = PlansManager(plans)
    configuration, heads = manager.get_configuration("3d_fullres"), len(dataset["labels"])
    network = build_network(nnUNetTrainer, manager, configuration, dataset, 1, heads, False)
    content = {
        "network_weights": network.state_dict(),
        "trainer_name": "nnUNetTrainer",
        "init_args": {"configuration": "3d_fullres", "plans": plans, "dataset_json": dataset, "fold": 0},
        "inference_allowed_mirroring_axes": None,
    }
    torch.save(content, folder / "fold_0" / "checkpoint_final.pth")


def run(python: Path, model: Path, images: Path, output: Path, *flags: str) -> Measurement:
    """One prediction in a process of its own; its output folder is ``output``."""
    command = python.parent / "nnUNetv2_predict_from_modelfolder"
    words = [command, "-i", images, "-o", output, "-m", model, "-f", "0", "-device", "cpu", "--disable_tta"]
    words += ["-step_size", "0.5", "-npp", "1", "-nps", "1", "--disable_progress_bar", *flags]
    environment = {**os.environ, "nnUNet_compile": "f"}
    found = measure(words, environment)
    if found.returncode:
        raise SystemExit(f"{' '.join(map(str, words))} ended with {found.returncode}:\n{found.output[-3000:]}")
    return found


def labels(folder: Path) -> np.ndarray:
    """The label map that was predicted."""
    import SimpleITK as sitk

    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "phantom.nii.gz")))


def line(name: str, slices: int, classes: int, found: Measurement) -> None:
    print(
        f"{name:9} {slices:5} slices {classes:4} classes  {found.wall_s:7.1f} s  {found.peak_mib:7.0f} MiB", flush=True
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--classes", type=int, default=105)
    parser.add_argument("--work", type=Path, default=Path("many_classes"), help="folder for everything that is made")
    parser.add_argument("--upstream", type=Path, help="python of an environment with upstream nnunetv2 2.8.1")
    parser.add_argument("--upstream-slices", type=int, default=40, help="slices that upstream is given")
    arguments = parser.parse_args()
    ours, work = Path(sys.executable), arguments.work.resolve()
    for classes in (2, arguments.classes):
        write_model(work / f"model_{classes}", classes)

    def measured(name: str, python: Path, slices: int, classes: int) -> Measurement:
        images = work / f"images_{slices}"
        if not images.exists():
            write_phantom(images, slices)
        found = run(python, work / f"model_{classes}", images, work / f"{name}_{slices}_{classes}")
        line(name, slices, classes, found)
        return found

    slices, classes = arguments.slices, arguments.classes
    few, many, long = (
        measured("ours", ours, *setting) for setting in ((slices, 2), (slices, classes), (2 * slices, classes))
    )
    above = many.peak_mib - few.peak_mib
    print(f"{classes} classes take {above:.0f} MiB more than 2 (must be at most 2048): {above <= 2048}")
    # As float32 in network space, and as read, and as uint8 labels with the copies of the writer.
    voxels = slices * 512 * 512
    allowed = (4 * voxels * (1 * 0.8 * 0.8) / 1.5**3 + 4 * voxels + 3 * voxels) / MIB
    grown = long.peak_mib - many.peak_mib
    print(f"twice the slices take {grown:.0f} MiB more; input and output grow by {allowed:.0f}: {grown <= allowed}")
    if arguments.upstream:
        few_slices = arguments.upstream_slices
        measured("ours", ours, few_slices, classes)
        measured("upstream", arguments.upstream, few_slices, classes)
        same = labels(work / f"ours_{few_slices}_{classes}") == labels(work / f"upstream_{few_slices}_{classes}")
        print(f"labels equal in {100 * same.mean():.4f} % of the voxels")


if __name__ == "__main__":
    main()
