"""Two small folders: references, and predictions that are a little off."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk


def write_label_map(path: Path, array: np.ndarray, spacing=(3.0, 1.0, 2.0), origin=(0.0, 0.0, 0.0)) -> None:
    """Write (Z, Y, X) ``array``; ``spacing`` in array order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))


@pytest.fixture
def two_folders(tmp_path) -> tuple[Path, Path]:
    """Folders ``reference`` and ``prediction`` with cases a, b, c and labels 0 to 3; label 2 is absent in case c."""
    rng = np.random.RandomState(0)
    for case in "abc":
        reference = rng.choice([0, 1, 3] if case == "c" else [0, 1, 2, 3], (4, 5, 6))
        prediction = np.where(rng.uniform(size=reference.shape) < 0.7, reference, 1)
        write_label_map(tmp_path / "reference" / f"{case}.nii.gz", reference)
        write_label_map(tmp_path / "prediction" / f"{case}.nii.gz", prediction)
    return tmp_path / "reference", tmp_path / "prediction"
