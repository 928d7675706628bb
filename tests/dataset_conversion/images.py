"""Tiny images and label maps as files, and reading them again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

SHAPE = (5, 6, 7)
SPACING, ORIGIN = (0.5, 1.25, 3.0), (-7.0, 2.5, 11.0)
DIRECTION = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def image_of(array: np.ndarray) -> sitk.Image:
    """A 3D image with a geometry that is not the identity."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(SPACING)
    image.SetOrigin(ORIGIN)
    image.SetDirection(DIRECTION)
    return image


def write_image(path: Path, seed: int = 0) -> np.ndarray:
    """Write a random image (5, 6, 7) of type int16 and return its array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.RandomState(seed).randint(-1000, 1000, SHAPE).astype(np.int16)
    sitk.WriteImage(image_of(array), str(path))
    return array


def write_labels(path: Path, values: Sequence[int] = (0, 1)) -> np.ndarray:
    """Write a label map (5, 6, 7) in which every one of ``values`` occurs, and return its array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.resize(np.array(values, dtype=np.int16), SHAPE)
    sitk.WriteImage(image_of(array), str(path))
    return array


def write_4d(path: Path, channels: int) -> np.ndarray:
    """Write a 4D float image with the channels as last axis of the file, and return its array (C, Z, Y, X)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.random.RandomState(channels).normal(size=(channels, *SHAPE)).astype(np.float32)
    sitk.WriteImage(sitk.JoinSeries([image_of(volume) for volume in array]), str(path))
    return array


def read(path: Path) -> np.ndarray:
    """The array of a file, whose geometry must be that of ``image_of``."""
    image = sitk.ReadImage(str(path))
    assert image.GetDimension() == 3
    np.testing.assert_allclose(image.GetSpacing(), SPACING)
    np.testing.assert_allclose(image.GetOrigin(), ORIGIN)
    np.testing.assert_allclose(image.GetDirection(), DIRECTION, atol=1e-6)
    return sitk.GetArrayFromImage(image)


def tree(folder: Path) -> set[str]:
    """Relative paths of all files below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
