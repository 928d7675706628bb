"""Patches that are read late: what they look like, what is read of them, and that batches stay the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from nnunetv2.training.data_augmentation.default_pipeline import training_transforms
from nnunetv2.training.data_augmentation.spatial import reads_patches
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.patch_sampling import crop_with_padding
from nnunetv2.training.dataloading.random_streams import seed_worker
from nnunetv2.training.dataloading.stored_patch import StoredPatch
from tests.training.dataloading.fakes import FakeDataset, label_manager

ARRAY = np.arange(2 * 6 * 7 * 8, dtype=np.float32).reshape(2, 6, 7, 8)


class Watched:
    """An array that notes the shapes of the parts that are read."""

    def __init__(self, array):
        self.array, self.shape, self.ndim, self.dtype, self.read = array, array.shape, array.ndim, array.dtype, []

    def __getitem__(self, key):
        part = self.array[key]
        self.read.append(part.shape)
        return part


class WatchedCases(FakeDataset):
    def load_case(self, identifier):
        data, seg, previous, properties = super().load_case(identifier)
        self.last = Watched(data), Watched(seg)
        return *self.last, previous, properties


def test_a_patch_has_the_shape_of_what_it_reads_and_fills_what_lies_outside():
    patch = StoredPatch([ARRAY, ARRAY[0]], (-1, 2, 5), (3, 6, 10), 9, np.int16, False)
    whole = patch.read()
    assert (patch.shape, patch.ndim) == (whole.shape, whole.ndim) == ((3, 4, 4, 5), 4)
    assert whole.dtype == torch.int16
    assert torch.equal(whole[2], whole[0])
    assert whole[:, 0].unique().tolist() == [9]
    assert whole[1, 1, 0, 0] == ARRAY[1, 0, 2, 5]
    assert torch.equal(patch.read((1, 0, 2), (3, 4, 5)), whole[:, 1:3, :, 2:5])


def test_a_2d_patch_has_no_slice_axis():
    patch = StoredPatch([ARRAY], (4, 1, 2), (5, 5, 7), 0, np.float32, True)
    assert patch.shape == patch.read().shape == (2, 4, 5)
    assert torch.equal(patch.read((1, 1), (3, 4)), torch.from_numpy(ARRAY[:, 4, 2:4, 3:6]))


def test_what_is_read_is_no_view_of_the_case():
    part = crop_with_padding(ARRAY, (0, 0, 0), (6, 7, 8), 0, np.float32)
    assert not np.shares_memory(part, ARRAY)
    assert np.array_equal(part, ARRAY)


def pipeline(patch, **changes):
    return training_transforms(patch, (-0.5, 0.5), None, (0, 1), False, **changes)


def batches(transforms, loaded, patch, count=6, cascade=False):
    loader = nnUNetDataLoader(FakeDataset(cascade=cascade), 2, loaded, patch, label_manager(), 0.5, (0.2, 0.3, 0.5))
    loader.transforms = transforms
    seed_worker(0, 4)
    return [loader.generate_train_batch() for _ in range(count)]


@pytest.mark.parametrize(
    ("loaded", "patch", "cascade"),
    [((22, 30, 26), (16, 21, 20), False), ((22, 30, 26), (16, 21, 20), True), ((40, 36), (28, 25), False)],
    ids=["3D", "cascade", "2D"],
)
def test_batches_are_those_of_patches_that_are_read_first(loaded, patch, cascade):
    more = {"is_cascaded": True, "foreground_labels": [1, 2]} if cascade else {}
    late, first = pipeline(patch, **more), pipeline(patch, **more)
    early = lambda **sample: first(**sample)  # noqa: E731  not a pipeline that reads by itself
    assert reads_patches(late)
    assert not reads_patches(early)
    for found, expected in zip(
        batches(late, loaded, patch, cascade=cascade), batches(early, loaded, patch, cascade=cascade), strict=True
    ):
        assert list(found["keys"]) == list(expected["keys"])
        assert torch.equal(found["data"], expected["data"])
        assert torch.equal(found["target"], expected["target"])


@pytest.mark.parametrize(("chance", "read"), [(0, (10, 12, 14)), (1, (16, 20, 22))])
def test_only_the_final_patch_is_read_where_nothing_is_rotated_or_scaled(chance, read):
    data = WatchedCases((60, 60, 60))
    transforms = pipeline((10, 12, 14))
    transforms.transforms[0].p_rotation = transforms.transforms[0].p_scaling = chance
    loader = nnUNetDataLoader(data, 1, (16, 20, 22), (16, 20, 22), label_manager(), 0.0, transforms=transforms)
    assert loader.generate_train_batch()["data"].shape == (1, 2, 10, 12, 14)
    assert [array.read for array in data.last] == [[(2, *read)], [(1, *read)]]


@pytest.mark.parametrize(
    "transforms",
    [
        None,
        ComposeTransforms([]),
        training_transforms((4, 8, 8), (0.0, 1.0), None, None, True),
        training_transforms((4, 8, 8), lambda image, dim: image.mean(), None, None, False),
    ],
    ids=["none", "empty", "dummy 2D", "own function"],
)
def test_other_pipelines_get_patches_that_were_read(transforms):
    assert not reads_patches(transforms)
