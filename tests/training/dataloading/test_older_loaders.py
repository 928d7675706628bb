"""The loader names of nnU-Net 2.0 to 2.5 work, on old and new data sets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgenerators.transforms.abstract_transforms import Compose

from nnunetv2.training.data_augmentation.custom_transforms.cascade_transforms import MoveSegAsOneHotToData
from nnunetv2.training.data_augmentation.default_pipeline import validation_transforms
from nnunetv2.training.dataloading.base_data_loader import nnUNetDataLoaderBase
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.data_loader_2d import nnUNetDataLoader2D
from nnunetv2.training.dataloading.data_loader_3d import nnUNetDataLoader3D
from tests.training.dataloading.fakes import FakeDataset, label_manager


class OldDataset(FakeDataset):
    """A mapping without ``identifiers`` whose ``load_case`` gives three values."""

    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        self.names = self.__dict__.pop("identifiers")

    def keys(self):
        return self.names

    def load_case(self, key):
        self.identifiers = self.names
        data, seg, previous, properties = super().load_case(key)
        del self.identifiers
        return data, seg if previous is None else np.concatenate([seg, previous[None].astype(seg.dtype)]), properties


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(1)


@pytest.mark.parametrize("dataset", [FakeDataset, OldDataset])
def test_batches_of_3d_patches_are_arrays_with_properties(dataset):
    batch = next(nnUNetDataLoader3D(dataset((9, 20, 20)), 2, (12, 12, 12), (8, 8, 8), label_manager(), 0.5))
    assert set(batch) == {"data", "seg", "properties", "keys"}
    assert batch["data"].shape == (2, 2, 12, 12, 12)
    assert batch["data"].dtype == np.float32
    assert batch["seg"].shape == (2, 1, 12, 12, 12)
    assert batch["seg"].dtype == np.int16
    assert (batch["seg"] == -1).any()
    assert [set(properties) for properties in batch["properties"]] == [{"class_locations"}] * 2


@pytest.mark.parametrize("dataset", [FakeDataset, OldDataset])
def test_batches_of_2d_patches_have_no_slice_axis(dataset):
    loader = nnUNetDataLoader2D(dataset((9, 20, 20)), 2, (12, 14), (8, 8), label_manager(), 0.5)
    batch = next(loader)
    assert batch["data"].shape == loader.data_shape == (2, 2, 12, 14)
    assert batch["seg"].shape == loader.seg_shape == (2, 1, 12, 14)


def test_old_2d_code_may_ask_for_a_box_within_a_slice():
    loader = nnUNetDataLoader2D(OldDataset((9, 20, 20)), 2, (12, 14), (8, 8), label_manager())
    start, stop = loader.get_bbox((20, 20), True, {1: np.array([[0, 10, 11]])})
    assert (start, stop) == ([4, 4], [16, 18])


@pytest.mark.parametrize("dataset", [FakeDataset, OldDataset])
def test_labels_of_the_previous_stage_feed_an_old_pipeline(dataset):
    loader = nnUNetDataLoader3D(dataset((9, 20, 20), cascade=True), 2, (8, 8, 8), (8, 8, 8), label_manager())
    batch = Compose([MoveSegAsOneHotToData(1, [1, 2])])(**next(loader))
    assert batch["data"].shape == (2, 4, 8, 8, 8)
    assert batch["seg"].shape == (2, 1, 8, 8, 8)
    assert batch["data"][:, 3].all()


def test_with_torch_transforms_batches_are_the_new_ones():
    loader = nnUNetDataLoader3D(
        OldDataset(), 2, (8, 8, 8), (8, 8, 8), label_manager(), transforms=validation_transforms(None)
    )
    batch = next(loader)
    assert set(batch) == {"data", "target", "keys"}
    assert isinstance(batch["target"], torch.Tensor)


def test_the_old_names_are_one_family():
    assert issubclass(nnUNetDataLoader2D, nnUNetDataLoaderBase)
    assert issubclass(nnUNetDataLoader3D, nnUNetDataLoaderBase)
    assert issubclass(nnUNetDataLoaderBase, nnUNetDataLoader)
