"""Fixtures for all tests: a clean environment, folder variables, and tiny data sets made on the fly."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import numpy as np
import pytest

FOLDER_VARIABLES = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """No test sees, or leaves behind, the nnU-Net variables of the machine it runs on."""
    for name in [n for n in os.environ if n.startswith("nnUNet_")]:
        monkeypatch.delenv(name)
    before = dict(os.environ)
    yield
    leaked = {n for n in os.environ if n.startswith("nnUNet_") and os.environ[n] != before.get(n)}
    monkeypatch.undo()
    leaked = {n for n in leaked if n in os.environ}
    assert not leaked, f"the test left environment variables behind: {sorted(leaked)}"


@pytest.fixture(autouse=True)
def logging_as_before():
    """A command that a test runs sets up console logging; the next test starts without."""
    package = logging.getLogger("nnunetv2")
    before = package.level, list(package.handlers), package.propagate
    yield
    package.setLevel(before[0])
    package.handlers[:] = before[1]
    package.propagate = before[2]


@pytest.fixture
def folders(tmp_path, monkeypatch) -> dict[str, Path]:
    """The three folder variables, pointing to empty folders below ``tmp_path``."""
    made = {}
    for name in FOLDER_VARIABLES:
        made[name] = tmp_path / name
        made[name].mkdir()
        monkeypatch.setenv(name, str(made[name]))
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    return made


def draw_few_samples(patch: pytest.MonkeyPatch) -> None:
    """Let fingerprints draw 1e5 instead of 1e8 foreground intensities; the latter takes seconds per case."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

    original = DatasetFingerprintExtractor.__init__

    def with_few_samples(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.num_foreground_voxels_for_intensitystats = 1e5

    patch.setattr(DatasetFingerprintExtractor, "__init__", with_few_samples)


def write_tiny_dataset(
    raw: Path,
    name: str = "Dataset997_Tiny",
    cases: int = 6,
    shape: tuple[int, int, int] = (20, 26, 23),
    spacing: tuple[float, float, float] = (2.5, 1.0, 1.25),
    channels: tuple[str, ...] = ("CT", "MRI"),
    seed: int = 7,
) -> Path:
    """Write a seeded 3D data set: labels 1 (a ball) and 2 (a smaller one inside, absent in the last case).

    ``shape`` and ``spacing`` (mm) are in array order (Z, Y, X); the direction is a rotation, not the identity.
    """
    import SimpleITK as sitk

    folder = raw / name
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True)
    rng = np.random.RandomState(seed)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"))
    for index in range(cases):
        centre = np.array(shape) / 2 + rng.uniform(-2, 2, 3)
        distance = np.sqrt(
            (((grid - centre[:, None, None, None]) * np.array(spacing)[:, None, None, None]) ** 2).sum(0)
        )
        radius = min(np.array(shape) * np.array(spacing)) / 3
        seg = (distance < radius).astype(np.uint8)
        if index != cases - 1:
            seg[distance < radius / 2] = 2
        case = f"tiny_{index:03d}"
        for channel, kind in enumerate(channels):
            image = rng.normal(0, 20, shape) + 100 * seg + (40 if kind == "CT" else 200)
            _write_sitk(sitk, image.astype(np.float32), spacing, folder / "imagesTr" / f"{case}_{channel:04d}.nii.gz")
        _write_sitk(sitk, seg, spacing, folder / "labelsTr" / f"{case}.nii.gz")
    (folder / "dataset.json").write_text(
        json.dumps(
            {
                "channel_names": {str(i): kind for i, kind in enumerate(channels)},
                "labels": {"background": 0, "shell": 1, "core": 2},
                "numTraining": cases,
                "file_ending": ".nii.gz",
            },
            indent=4,
        )
    )
    return folder


def _write_sitk(sitk, array: np.ndarray, spacing_zyx: tuple[float, ...], path: Path) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing([float(s) for s in spacing_zyx[::-1]])
    image.SetOrigin((-3.0, 5.5, 10.0))
    image.SetDirection((0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    sitk.WriteImage(image, str(path))


@pytest.fixture
def tiny_dataset(folders) -> Path:
    """The raw folder of ``Dataset997_Tiny`` below ``nnUNet_raw``; see ``write_tiny_dataset``."""
    return write_tiny_dataset(folders["nnUNet_raw"])
