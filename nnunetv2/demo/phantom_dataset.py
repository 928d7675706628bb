"""Phantoms as a complete raw data set: images, labels and dataset.json in the folder layout of nnU-Net."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from nnunetv2.demo.phantom import PhantomSettings, make_phantom
from nnunetv2.imageio.itk_files import write_image
from nnunetv2.records.files import PathLike, write_json
from nnunetv2.records.layout import DATASET_JSON, IMAGES_TR, IMAGES_TS, LABELS_TR, LABELS_TS, channel_file_name

FILE_ENDING = ".nii.gz"


@dataclass(frozen=True)
class PhantomDataset:
    """How many cases of which kind; case ``i`` of the data set is the phantom of seed ``seed + i``."""

    training_cases: int = 8
    test_cases: int = 2
    seed: int = 2024
    settings: PhantomSettings = field(default_factory=PhantomSettings)


def write_phantom_dataset(folder: PathLike, description: PhantomDataset | None = None) -> Path:
    """Write imagesTr, labelsTr, imagesTs, labelsTs and dataset.json into ``folder``, which is returned.

    Existing files of the same names are replaced.
    """
    folder, description = Path(folder), description or PhantomDataset()
    total = description.training_cases + description.test_cases
    for index in range(total):
        training = index < description.training_cases
        images, labels = (IMAGES_TR, LABELS_TR) if training else (IMAGES_TS, LABELS_TS)
        image, label = make_phantom(description.seed + index, description.settings)
        case = f"phantom_{index:03d}"
        write_volume(folder / images / channel_file_name(case, 0, FILE_ENDING), image, description.settings.spacing)
        write_volume(folder / labels / (case + FILE_ENDING), label, description.settings.spacing)
    dataset_json = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "tumor": 1},
        "numTraining": description.training_cases,
        "file_ending": FILE_ENDING,
        "name": "Phantom",
        "description": "CT phantoms made of formulas; no patient was involved",
    }
    write_json(folder / DATASET_JSON, dataset_json, sort_keys=False)
    return folder


def write_volume(path: PathLike, array: np.ndarray, spacing: tuple[float, ...]) -> None:
    """Write (Z, Y, X) ``array`` with ``spacing`` in mm, in array order, as an axial CT volume; atomically."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(value) for value in spacing[::-1]])
    image.SetOrigin([-0.5 * size * step for size, step in zip(array.shape[::-1], spacing[::-1], strict=True)])
    write_image(image, path)
