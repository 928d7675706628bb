"""Our SpatialTransform against the library's: same draws, same images, same labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial import spatial as library

from nnunetv2.training.data_augmentation import label_sampling
from nnunetv2.training.data_augmentation.spatial import SpatialTransform

OUTSIDE = -1


def settings(patch, **changes) -> dict:
    default = {
        "patch_size": patch,
        "patch_center_dist_from_border": 0,
        "random_crop": False,
        "p_rotation": 1,
        "rotation": (-0.6, 0.6),
        "p_scaling": 1,
        "scaling": (0.7, 1.4),
        "p_synchronize_scaling_across_axes": 1,
        "border_mode_seg": "constant",
        "padding_value_seg": OUTSIDE,
    }
    return {**default, **changes}


def blobs(shape, labels: int, channels: int = 1) -> torch.Tensor:
    """Label map (C, *shape) int16 of smooth regions, with ``OUTSIDE`` on one side."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.randn((channels, labels, *(max(2, n // 5) for n in shape)), generator=generator)
    mode = "trilinear" if len(shape) == 3 else "bilinear"
    regions = torch.nn.functional.interpolate(coarse, size=shape, mode=mode).argmax(1).to(torch.int16)
    regions[:, :2] = OUTSIDE
    return regions


def both(patch, image, labels, seed: int, **changes):
    """Parameters, image and labels made by the library and by ours after the same seed."""
    for transform in (library.SpatialTransform, SpatialTransform):
        step = transform(**settings(patch, **changes))
        np.random.seed(seed)
        torch.manual_seed(seed)
        parameters = step.get_parameters(image=image)
        made = step.apply({"image": image.clone(), "segmentation": labels.clone()}, **parameters)
        yield parameters, made, np.random.random(), torch.rand(1).item()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize(("loaded", "patch"), [((26, 31, 28), (18, 20, 22)), ((60, 52), (44, 40))])
def test_images_and_labels_are_those_of_the_library(loaded, patch, count, seed):
    image = torch.randn((2, *loaded), generator=torch.Generator().manual_seed(seed))
    labels = blobs(loaded, count)
    expected, found = both(patch, image, labels, seed)
    assert found[2:] == expected[2:]  # as many random numbers were used
    assert torch.allclose(found[0]["grid"], expected[0]["grid"], atol=1e-6)
    assert torch.allclose(found[1]["image"], expected[1]["image"], atol=2e-5)
    assert found[1]["segmentation"].dtype == torch.int16
    assert (found[1]["segmentation"] != expected[1]["segmentation"]).float().mean() < 1e-4
    assert found[1]["segmentation"].unique().numel() > count / 2


@pytest.mark.parametrize(
    "changes",
    [
        {"p_rotation": 0},
        {"p_scaling": 0},
        {"align_corners": True},
        {"border_mode_seg": "zeros"},
        {"border_mode_seg": "border"},
        {"mode_seg": "nearest"},
        {"seg_tiebreak": "highest"},
        {"p_elastic_deform": 1, "elastic_deform_magnitude": (1, 2)},
        {"random_crop": True, "patch_center_dist_from_border": 8},
        {"p_rotation": 0, "p_scaling": 0},
        {"p_synchronize_scaling_across_axes": 0, "p_rot_per_axis": 0.5},
    ],
    ids=str,
)
def test_every_setting_gives_what_the_library_gives(changes):
    loaded, patch = (24, 22, 26), (16, 18, 14)
    image, labels = torch.rand((1, *loaded), generator=torch.Generator().manual_seed(0)), blobs(loaded, 3, channels=2)
    expected, found = both(patch, image, labels, 3, **changes)
    assert found[2:] == expected[2:]
    assert torch.allclose(found[1]["image"], expected[1]["image"], atol=2e-5)
    assert (found[1]["segmentation"] != expected[1]["segmentation"]).float().mean() < 1e-4


def test_ties_go_to_the_nearest_voxel_and_else_to_the_smallest_label():
    labels = torch.tensor([[3, 1, 1, 2]], dtype=torch.int16).view(1, 1, 4).expand(1, 2, 4)
    # A step of the grid is 0.5 voxels; in the middle between two voxels their memberships are equal.
    columns = torch.tensor([0.0, 0.5, 0.49, 2.5, 2.51])
    grid = torch.stack([(columns * 2 + 1) / 4 - 1, torch.zeros(5)], -1)[None]
    expected = torch.tensor([[3, 3, 3, 1, 2]], dtype=torch.int16)
    assert torch.equal(label_sampling.sample_labels(labels.contiguous(), grid, OUTSIDE)[0], expected)


def test_far_outside_everything_is_the_outside_label():
    labels = torch.ones((1, 4, 4, 4), dtype=torch.int16)
    grid = torch.tensor([[-9.0, 0, 0], [9, 9, 9], [0, 0, 0], [0, 0, -1.3]])
    assert label_sampling.sample_labels(labels, grid, OUTSIDE).tolist() == [[-1, -1, 1, -1]]


def test_the_smallest_number_of_the_type_is_a_label_like_any_other():
    lowest = torch.iinfo(torch.int8).min
    labels = torch.full((1, 5, 5), lowest, dtype=torch.int8)
    labels[0, 2, 2] = 7
    grid = torch.tensor([[0.0, 0.0], [-0.4, -0.4], [0.8, 0.8]])
    assert label_sampling.sample_labels(labels, grid, 0).tolist() == [[7, lowest, lowest]]


def test_pieces_do_not_show(monkeypatch):
    labels = blobs((20, 21, 22), 4)
    grid = torch.rand((9, 8, 7, 3), generator=torch.Generator().manual_seed(0)) * 2.4 - 1.2
    whole = label_sampling.sample_labels(labels, grid, OUTSIDE)
    for name in ("_VOXELS_AT_ONCE", "_POINTS_AT_ONCE", "_MIXED_AT_ONCE"):
        monkeypatch.setattr(label_sampling, name, 37)
    assert torch.equal(label_sampling.sample_labels(labels, grid, OUTSIDE), whole)
