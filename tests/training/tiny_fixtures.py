"""The tiny preprocessed data set, made once per session and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.tiny_training import TINY_TRAINER_FILE, write_preprocessed


@pytest.fixture(scope="session")
def preprocessed_template(tmp_path_factory) -> Path:
    """Folder of the preprocessed tiny data set; not to be changed."""
    root = tmp_path_factory.mktemp("template")
    return write_preprocessed(root / "preprocessed", root / "raw")


@pytest.fixture
def preprocessed(preprocessed_template, folders) -> Path:
    """A copy of the preprocessed tiny data set below ``nnUNet_preprocessed``."""
    target = folders["nnUNet_preprocessed"] / preprocessed_template.name
    shutil.copytree(preprocessed_template, target)
    return target


@pytest.fixture
def tiny_trainer_by_name(tmp_path, monkeypatch) -> str:
    """Name of a trainer in a folder of ``nnUNet_extTrainer``: two epochs of two iterations."""
    folder = tmp_path / "trainers"
    folder.mkdir()
    (folder / "tiny_trainer.py").write_text(TINY_TRAINER_FILE)
    monkeypatch.setenv("nnUNet_extTrainer", str(folder))
    return "TinyTrainer"
