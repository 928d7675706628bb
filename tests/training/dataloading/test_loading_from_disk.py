"""The loaders read preprocessed cases from the stores, and only the part they need."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.storage.legacy_dataset import nnUNetDataset
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.training.data_augmentation.default_pipeline import training_transforms
from nnunetv2.training.dataloading.augmenters import start_augmenters, stop_augmenters
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.data_loader_3d import nnUNetDataLoader3D
from tests.training.dataloading.fakes import label_manager

SHAPE = (20, 26, 23)
STORES = [nnUNetDatasetBlosc2, nnUNetDatasetNumpy]


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(2)


def write_cases(store, folder, previous=None):
    """Two cases of noise with a box of label 1; the segmentation of the previous stage is the same."""
    rng = np.random.RandomState(4)
    folder.mkdir()
    arrays = {}
    for name in ("one", "two"):
        data = rng.normal(size=(2, *SHAPE)).astype(np.float32)
        seg = np.zeros((1, *SHAPE), dtype=np.int16)
        seg[0, 12:18, 3:9, 14:20] = 1
        properties = {"class_locations": {1: np.argwhere(seg == 1), 2: []}, "spacing": [1.0, 1.0, 1.0]}
        store.save_case(data, seg, properties, str(folder / name))
        if previous is not None:
            previous.mkdir(exist_ok=True)
            store.save_seg(seg[0].astype(np.uint8), str(previous / name))
        arrays[name] = data, seg
    return arrays


def padded_crop(array, start, size, value):
    padded = np.pad(array, [(0, 0), *[(30, 30)] * 3], constant_values=value)
    return padded[(slice(None), *(slice(low + 30, low + 30 + n) for low, n in zip(start, size)))]


@pytest.mark.parametrize("store", STORES)
def test_patches_are_those_of_the_saved_arrays(store, tmp_path):
    arrays = write_cases(store, tmp_path / "cases", tmp_path / "previous")
    boxes = []

    class Recording(nnUNetDataLoader):
        def get_bbox(self, *arguments, **keywords):
            boxes.append(super().get_bbox(*arguments, **keywords))
            return boxes[-1]

    dataset = store(str(tmp_path / "cases"), folder_with_segs_from_previous_stage=str(tmp_path / "previous"))
    size = (24, 16, 16)
    batch = next(Recording(dataset, 4, size, (20, 12, 12), label_manager(), 0.5))
    assert batch["target"].shape == (4, 2, *size)
    for key, (start, _), image, labels in zip(batch["keys"], boxes, batch["data"].numpy(), batch["target"].numpy()):
        data, seg = arrays[str(key)]
        assert np.array_equal(image, padded_crop(data, start, size, 0))
        expected = padded_crop(seg, start, size, -1)
        assert np.array_equal(labels, np.concatenate([expected, expected]))


def test_worker_processes_read_and_augment_stored_cases(tmp_path):
    write_cases(nnUNetDatasetBlosc2, tmp_path / "cases")
    patch, loaded = (12, 16, 16), (16, 22, 22)
    transforms = training_transforms(patch, (-0.5, 0.5), [[1.0] * 3, [0.5] * 3], (0, 1, 2), False, [False, False])
    loaders = [
        nnUNetDataLoader(
            nnUNetDatasetBlosc2(str(tmp_path / "cases")), 2, loaded, patch, label_manager(), 0.33, transforms=transforms
        )
        for _ in range(2)
    ]
    augmenters = start_augmenters(*loaders, 1, pin_memory=False)
    try:
        batches = [next(augmenters[0]) for _ in range(3)]
    finally:
        stop_augmenters(*augmenters)
    for batch in batches:
        assert batch["data"].shape == (2, 2, *patch)
        assert torch.isfinite(batch["data"]).all()
        assert [tuple(target.shape) for target in batch["target"]] == [(2, 1, *patch), (2, 1, 6, 8, 8)]
        assert set(batch["keys"]) <= {"one", "two"}


@pytest.mark.parametrize("store", STORES)
def test_the_old_loader_reads_the_old_data_set_class(store, tmp_path):
    write_cases(store, tmp_path / "cases", tmp_path / "previous")
    dataset = nnUNetDataset(str(tmp_path / "cases"), folder_with_segs_from_previous_stage=str(tmp_path / "previous"))
    batch = next(nnUNetDataLoader3D(dataset, 2, (8, 8, 8), (8, 8, 8), label_manager(), 0.33))
    assert batch["data"].shape == (2, 2, 8, 8, 8)
    assert np.array_equal(batch["seg"][:, 0], batch["seg"][:, 1])
    assert (batch["seg"][1] == 1).any()
