"""Small files of every format the package reads, and the functions that read them, for damaging and fuzzing.

A format that is ``checked`` carries checksums over its content: whatever is damaged in it must never be read as
something else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (12, 17, 19)
CASE = "case_0"


@dataclass(frozen=True)
class Format:
    """One format as one reader meets it."""

    file: str
    """Name of the file that is damaged."""
    write: Callable[[Path], None]
    """Makes it, and what belongs to it, in a folder."""
    read: Callable[[Path], Any]
    """Reads it in full."""
    checked: bool = False


def digest(value: Any) -> str:
    """Hash of everything in nested containers of arrays, tensors and plain values."""
    found = hashlib.sha256()
    _feed(found, value)
    return found.hexdigest()


def _feed(found: Any, value: Any) -> None:
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        found.update(f"{value.dtype.str}{value.shape}".encode())
        found.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            found.update(repr(key).encode())
            _feed(found, value[key])
    elif isinstance(value, (Sequence, set)) and not isinstance(value, (str, bytes)):
        found.update(type(value).__name__.encode())
        for entry in value:
            _feed(found, entry)
    else:
        found.update(repr(value).encode())


def voxels(dtype: str = "int16") -> np.ndarray:
    """An image (Z, Y, X) with structure and noise."""
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    return (np.add.outer(np.arange(12) * 9, np.add.outer(np.arange(17) * 5, np.arange(19) * 3)) + noise).astype(dtype)


def _write_sitk(array: np.ndarray, compress: bool = True) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.8, 0.9, 2.5))
        sitk.WriteImage(image, str(path), compress)

    return write


def _write_nibabel(array: np.ndarray, slope: float | None = None) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import nibabel

        image = nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([0.8, 0.9, 2.5, 1]))
        if slope is not None:
            image.header.set_slope_inter(slope, 1)
        nibabel.save(image, path)

    return write


def _sitk(path: Path) -> Any:
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    return SimpleITKIO().read_images([str(path)])


def _nibabel(path: Path) -> Any:
    from nnunetv2.imageio.nibabel_reader_writer import NibabelIO

    return NibabelIO().read_images([str(path)])


def _picture(path: Path) -> Any:
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO

    return NaturalImage2DIO().read_images([str(path)])


def _stack(path: Path) -> Any:
    from nnunetv2.imageio.tif_reader_writer import Tiff3DIO

    return Tiff3DIO().read_images([str(path)])


def _write_picture(array: np.ndarray) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from skimage import io

        io.imsave(str(path), array, check_contrast=False)

    return write


def _write_tiff(array: np.ndarray, **settings: Any) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import tifffile

        tifffile.imwrite(path, array, photometric="minisblack", **settings)
        (path.parent / "case.json").write_text(json.dumps({"spacing": [2.5, 0.9, 0.8]}))

    return write


def properties() -> dict[str, Any]:
    """Properties of a preprocessed case."""
    locations = {label: np.argwhere(voxels() % 5 == label)[:40] for label in (1, 2, (1, 2)) if label != (1, 2)}
    return {
        "spacing": [2.5, 0.9, 0.8],
        "shape_before_cropping": SHAPE,
        "bbox_used_for_cropping": [[0, 12], [0, 17], [0, 19]],
        "shape_after_cropping_and_before_resampling": SHAPE,
        "class_locations": {**locations, (1, 2): locations[1]},
        "sitk_stuff": {"spacing": (0.8, 0.9, 2.5), "origin": (0.0, 1.0, 2.0), "direction": (1.0, 0.0, 0.0)},
    }


def _write_case(store: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
        from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy

        data, seg = voxels("float32")[None], (voxels() % 3)[None]
        target = str(path.parent / CASE)
        if store == "blosc2":
            shapes = {"chunks": (1, 6, 17, 19), "blocks": (1, 3, 9, 10)}
            nnUNetDatasetBlosc2.save_case(
                data,
                seg,
                properties(),
                target,
                **shapes,
                chunks_seg=shapes["chunks"],
                blocks_seg=shapes["blocks"],
            )
        else:
            nnUNetDatasetNumpy.save_case(data, seg, properties(), target)

    return write


def _case(path: Path) -> Any:
    from nnunetv2.storage.stores import infer_dataset_class

    data, seg, _, found = infer_dataset_class(str(path.parent))(str(path.parent), [CASE]).load_case(CASE)
    return np.asarray(data[:]), np.asarray(seg[:]), found


def _write_probabilities(path: Path) -> None:
    from nnunetv2.ensembling.probability_files import write_probabilities

    values = np.random.default_rng(1).random((3, *SHAPE), dtype=np.float32)
    write_probabilities(values, str(path.with_suffix("")), "npz" if path.suffix == ".npz" else "blosc2")


def _probabilities(path: Path) -> Any:
    from nnunetv2.ensembling.probability_files import mean_channels

    return list(mean_channels([path]))


def _write_checkpoint(path: Path) -> None:
    import torch

    from nnunetv2.training.checkpoint import write_checkpoint

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = {f"layer.{i}.weight": torch.randn(6, 5, 3, 3) for i in range(4)}
    content = {"network_weights": weights, "current_epoch": 7, "trainer_name": "nnUNetTrainer", "logging": {"a": [1.5]}}
    write_checkpoint(path, content)


def _checkpoint(path: Path) -> Any:
    from nnunetv2.training.checkpoint import read_checkpoint

    return read_checkpoint(path)


def plans() -> dict[str, Any]:
    """A plans file such as planning writes."""
    from nnunetv2.records.plans import UNET_CLASS_PATHS, architecture_entry

    kernels, strides = [[3, 3, 3]] * 3, [[1, 1, 1], [2, 2, 2], [2, 2, 2]]
    depths = {"n_conv_per_stage": [2, 2, 2], "n_conv_per_stage_decoder": [2, 2]}
    resampling: dict[str, Any] = {}
    for kind, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        resampling[f"resampling_fn_{kind}"] = "resample_data_or_seg_to_shape"
        resampling[f"resampling_fn_{kind}_kwargs"] = {
            "is_seg": kind == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    statistics = {
        name: float(number)
        for number, name in enumerate(("min", "percentile_00_5", "mean", "median", "std", "percentile_99_5", "max"))
    }
    full = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 16, 16],
        "median_image_size_in_voxels": [20.0, 24.0, 22.0],
        "spacing": [1.0, 0.9, 0.9],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        **resampling,
        "architecture": architecture_entry(UNET_CLASS_PATHS["PlainConvUNet"], 3, [8, 16, 32], kernels, strides, depths),
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset997_Tiny",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 0.9, 0.9],
        "original_median_shape_after_transp": [20, 24, 22],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            "3d_fullres": full,
            "small": {"inherits_from": "3d_fullres", "batch_size": 3, "data_identifier": "nnUNetPlans_3d_fullres"},
            "3d_lowres": {"inherits_from": "3d_fullres", "spacing": [2.0, 2.0, 2.0], "data_identifier": "low"},
            "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": statistics},
    }


DATASET_JSON = {
    "channel_names": {"0": "CT"},
    "labels": {"background": 0, "organ": [1, 2], "tumour": 2},
    "regions_class_order": [1, 2],
    "numTraining": 4,
    "file_ending": ".nii.gz",
    "overwrite_image_reader_writer": "SimpleITKIO",
}


def _write_json(content: Callable[[], Any]) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps(content(), indent=4))


def _read_plans(path: Path) -> Any:
    """What preprocessing, training and prediction look at, for every configuration."""
    from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
    from nnunetv2.records.files import read_json
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(str(path))
    content = read_json(path)
    check_before_work(content, str(path), list(content["configurations"]), "predict", DATASET_JSON)
    found = [manager.get_configuration(name).configuration for name in content["configurations"]]
    return found, manager.transpose_forward, manager.foreground_intensity_properties_per_channel


def _read_dataset_json(path: Path) -> Any:
    from nnunetv2.records.dataset_json import DatasetJson
    from nnunetv2.records.labels import Labels

    content = DatasetJson.load(path)
    labels = Labels.from_json(content.labels, content.regions_class_order)
    return content.to_json(), labels.all_labels, labels.regions


def splits() -> list[dict[str, list[str]]]:
    """A splits_final.json of five cases."""
    return [{"train": [f"case_{i}" for i in range(5) if i != fold], "val": [f"case_{fold}"]} for fold in range(5)]


def _read_splits(path: Path) -> Any:
    from nnunetv2.records.splits import load_splits

    return load_splits(path)


def fingerprint() -> dict[str, Any]:
    """A dataset_fingerprint.json of two cases."""
    return {
        "foreground_intensity_properties_per_channel": plans()["foreground_intensity_properties_per_channel"],
        "median_relative_size_after_cropping": 0.9,
        "shapes_after_crop": [[20, 24, 22], [21, 25, 23]],
        "spacings": [[1.0, 0.9, 0.9], [1.0, 0.8, 0.8]],
    }


def _read_fingerprint(path: Path) -> Any:
    from nnunetv2.records.fingerprint import Fingerprint

    return Fingerprint.load(path).to_json()


COLOURS = np.stack([voxels("uint8")[0], voxels("uint8")[5], voxels("uint8")[9]], axis=-1)

FORMATS: dict[str, Format] = {
    "nii.gz": Format("case_0000.nii.gz", _write_sitk(voxels()), _sitk, True),
    "nii.gz, real numbers": Format("case_0000.nii.gz", _write_sitk(voxels("float32")), _sitk, True),
    "nii.gz, scaled": Format("case_0000.nii.gz", _write_nibabel(voxels(), 2.0), _sitk, True),
    "nii.gz, nibabel": Format("case_0000.nii.gz", _write_nibabel(voxels("float64")), _nibabel, True),
    "nii": Format("case_0000.nii", _write_nibabel(voxels()), _nibabel),
    "nrrd": Format("case_0000.nrrd", _write_sitk(voxels()), _sitk),
    "mha": Format("case_0000.mha", _write_sitk(voxels()), _sitk),
    "gipl": Format("case_0000.gipl", _write_sitk(voxels()), _sitk),
    "png": Format("case_0000.png", _write_picture(COLOURS), _picture, True),
    "tif, picture": Format("case_0000.tif", _write_tiff(voxels("uint8")[0]), _picture),
    "tif, compressed": Format("case_0000.tif", _write_tiff(voxels(), compression="zlib", rowsperstrip=5), _stack),
    "tif, plain": Format("case_0000.tif", _write_tiff(voxels("uint16"), rowsperstrip=4), _stack),
    "b2nd, image": Format(f"{CASE}.b2nd", _write_case("blosc2"), _case),
    "b2nd, labels": Format(f"{CASE}_seg.b2nd", _write_case("blosc2"), _case),
    "npz": Format(f"{CASE}.npz", _write_case("numpy"), _case, True),
    "pkl": Format(f"{CASE}.pkl", _write_case("blosc2"), _case),
    "npz, probabilities": Format("case.npz", _write_probabilities, _probabilities, True),
    "b2nd, probabilities": Format("case.b2nd", _write_probabilities, _probabilities),
    "pth": Format("checkpoint_final.pth", _write_checkpoint, _checkpoint, True),
    "json, plans": Format("nnUNetPlans.json", _write_json(plans), _read_plans),
    "json, data set": Format("dataset.json", _write_json(lambda: DATASET_JSON), _read_dataset_json),
    "json, splits": Format("splits_final.json", _write_json(splits), _read_splits),
    "json, fingerprint": Format("dataset_fingerprint.json", _write_json(fingerprint), _read_fingerprint),
}
