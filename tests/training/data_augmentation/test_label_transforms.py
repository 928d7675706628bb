"""Replacing labels and smaller targets, against the library's own steps."""

from __future__ import annotations

import pytest
import torch
from batchgeneratorsv2.transforms.utils import deep_supervision_downsampling, remove_label

from nnunetv2.training.data_augmentation.label_transforms import DownsampleSegForDSTransform, RemoveLabelTransform

SCALES = [[1, 1, 1], [1, 0.5, 0.5], [0.5, 0.25, 0.25], [0.3, 0.7, 1.0], 0.5]


def label_map(dtype, shape=(2, 9, 12, 13)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-1, 4, shape, generator=generator)
    return values.clamp_min(0).bool() if dtype == torch.bool else values.to(dtype)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int64, torch.float32])
@pytest.mark.parametrize("arguments", [(-1, 0), (3, -1), (-1, 0, [1]), (-1, 0, 0)])
def test_labels_are_replaced_in_place_as_by_the_library(dtype, arguments):
    labels = label_map(dtype)
    expected = remove_label.RemoveLabelTransform(*arguments)(segmentation=labels.clone())["segmentation"]
    found = RemoveLabelTransform(*arguments)(segmentation=labels)["segmentation"]
    assert found is labels
    assert found.dtype == dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.int16, torch.bool])
def test_targets_are_those_of_the_library(dtype):
    labels = label_map(dtype)
    expected = deep_supervision_downsampling.DownsampleSegForDSTransform(SCALES)(segmentation=labels)["segmentation"]
    found = DownsampleSegForDSTransform(SCALES)(segmentation=labels)["segmentation"]
    assert len(found) == len(SCALES)
    assert found[0] is labels
    for ours, theirs in zip(found, expected):
        assert ours.dtype == dtype
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("size", [1, 2, 5, 20, 77, 128])
def test_every_size_picks_the_voxels_of_the_library(size):
    labels = torch.arange(size, dtype=torch.int16)[None, None].expand(1, 3, size)
    scales = [[1, new / size] for new in range(1, size + 1)]
    expected = deep_supervision_downsampling.DownsampleSegForDSTransform(scales)(segmentation=labels)["segmentation"]
    found = DownsampleSegForDSTransform(scales)(segmentation=labels)["segmentation"]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
