"""The default pipelines: which transforms, in which order, how often, and what comes out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from scipy.ndimage import map_coordinates

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.default_pipeline import training_transforms, validation_transforms

SCALES_3D = [[1.0, 1.0, 1.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25]]
ROTATION = (-np.pi / 6, np.pi / 6)


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(3)
    torch.manual_seed(3)


def pipeline(**changes):
    arguments = {
        "patch_size": (12, 10, 8),
        "rotation_for_DA": ROTATION,
        "deep_supervision_scales": None,
        "mirror_axes": (0, 1, 2),
        "do_dummy_2d_data_aug": False,
    }
    return training_transforms(**{**arguments, **changes})


def names(transforms):
    """``(class name, probability)`` of each step; 1 for steps that always run."""
    return [
        (type(t.transform).__name__, t.apply_probability) if isinstance(t, RandomTransform) else (type(t).__name__, 1)
        for t in transforms.transforms
    ]


INTENSITY = [
    ("GaussianNoiseTransform", 0.1),
    ("GaussianBlurTransform", 0.2),
    ("MultiplicativeBrightnessTransform", 0.15),
    ("ContrastTransform", 0.15),
    ("SimulateLowResolutionTransform", 0.25),
    ("GammaTransform", 0.1),
    ("GammaTransform", 0.3),
]


def test_the_plain_training_pipeline_has_nine_random_steps_and_removes_the_outside_label():
    assert names(pipeline()) == [
        ("SpatialTransform", 1),
        *INTENSITY,
        ("MirrorTransform", 1),
        ("RemoveLabelTransform", 1),
    ]


def test_the_full_training_pipeline_is_in_order():
    full = pipeline(
        deep_supervision_scales=SCALES_3D,
        do_dummy_2d_data_aug=True,
        use_mask_for_norm=[False, True],
        is_cascaded=True,
        foreground_labels=[1, 2],
        regions=[(1, 2), 2],
        ignore_label=3,
    )
    assert names(full) == [
        ("Convert3DTo2DTransform", 1),
        ("SpatialTransform", 1),
        ("Convert2DTo3DTransform", 1),
        *INTENSITY,
        ("MirrorTransform", 1),
        ("MaskImageTransform", 1),
        ("RemoveLabelTransform", 1),
        ("MoveSegAsOneHotToDataTransform", 1),
        ("ApplyRandomBinaryOperatorTransform", 0.4),
        ("RemoveRandomConnectedComponentFromOneHotEncodingTransform", 0.2),
        ("ConvertSegmentationToRegionsTransform", 1),
        ("DownsampleSegForDSTransform", 1),
    ]


def test_the_validation_pipeline_holds_nothing_random():
    full = validation_transforms(SCALES_3D, True, [1, 2], [(1, 2), 2], 3)
    assert names(full) == [
        ("RemoveLabelTransform", 1),
        ("MoveSegAsOneHotToDataTransform", 1),
        ("ConvertSegmentationToRegionsTransform", 1),
        ("DownsampleSegForDSTransform", 1),
    ]
    assert names(validation_transforms(None)) == [("RemoveLabelTransform", 1)]


@pytest.mark.parametrize("axes", [None, ()])
def test_without_mirror_axes_there_is_no_mirroring(axes):
    assert "MirrorTransform" not in dict(names(pipeline(mirror_axes=axes)))


def test_masking_covers_only_the_flagged_channels():
    assert "MaskImageTransform" not in dict(names(pipeline(use_mask_for_norm=[False, False])))
    step = pipeline(use_mask_for_norm=[False, True]).transforms[-2]
    assert step.apply_to_channels == [1]
    out = step(image=torch.ones(2, 2, 2), segmentation=torch.tensor([[[-1, 0], [1, -1]]], dtype=torch.int16))
    assert out["image"].tolist() == [[[1, 1], [1, 1]], [[0, 1], [1, 0]]]


def test_parameters_of_the_intensity_steps():
    noise, blur, brightness, contrast, low_resolution, inverted, plain = (
        step.transform for step in pipeline().transforms[1:8]
    )
    assert (noise.noise_variance, noise.synchronize_channels, noise.p_per_channel) == ((0, 0.1), True, 1)
    assert (blur.blur_sigma, blur.synchronize_channels, blur.synchronize_axes) == ((0.5, 1.0), False, False)
    assert (blur.p_per_channel, blur.benchmark) == (0.5, False)
    assert brightness.multiplier_range.contrast_range == contrast.contrast_range.contrast_range == (0.75, 1.25)
    assert (brightness.p_per_channel, contrast.p_per_channel, contrast.preserve_range) == (1, 1, True)
    assert (brightness.synchronize_channels, contrast.synchronize_channels) == (False, False)
    assert (low_resolution.scale, low_resolution.p_per_channel) == ((0.5, 1), 0.5)
    assert (low_resolution.synchronize_channels, low_resolution.synchronize_axes) == (False, True)
    for step, invert in ((inverted, 1), (plain, 0)):
        assert (step.p_invert_image, step.p_retain_stats, step.p_per_channel) == (invert, 1, 1)
        assert step.gamma.contrast_range == (0.7, 1.5)


def test_low_resolution_spares_axis_0_in_dummy_2d():
    assert pipeline().transforms[5].transform.ignore_axes is None
    assert pipeline(do_dummy_2d_data_aug=True).transforms[7].transform.ignore_axes == (0,)


def test_parameters_of_the_spatial_step():
    step = pipeline().transforms[0]
    assert (step.p_rotation, step.rotation, step.p_rot_per_axis) == (0.2, ROTATION, 1)
    assert (step.p_scaling, step.scaling, step.p_synchronize_scaling_across_axes) == (0.2, (0.7, 1.4), 1)
    assert (step.p_elastic_deform, step.random_crop, step.patch_size) == (0, False, (12, 10, 8))
    assert (step.mode_image, step.padding_mode_image, step.mode_seg) == ("bilinear", "zeros", "bilinear")
    assert (step.border_mode_seg, step.padding_value_seg) == ("constant", -1)


def test_interpolation_and_cascade_probability_can_be_changed():
    changed = pipeline(
        interpolation_image="nearest",
        interpolation_segmentation="nearest",
        is_cascaded=True,
        foreground_labels=[1],
        cascade_label_probability=1,
    )
    assert (changed.transforms[0].mode_image, changed.transforms[0].mode_seg) == ("nearest", "nearest")
    assert [step.transform.p_per_label for step in changed.transforms[-2:]] == [1, 1]


def test_rotation_and_scaling_are_drawn_independently_for_a_fifth_of_the_samples():
    step = pipeline(patch_size=(4, 4, 4)).transforms[0]
    image = torch.zeros(1, 6, 6, 6)
    untouched, rotated, scaled, factors = 0, 0, 0, []
    for _ in range(3000):
        affine = step.get_parameters(image=image)["affine"]
        if affine is None:
            untouched += 1
            continue
        factor = np.cbrt(np.linalg.det(affine))
        rotated += not np.allclose(affine, factor * np.eye(3))
        scaled += not np.isclose(factor, 1)
        factors.append(factor)
    # standard errors: 0.009, 0.007, 0.007
    assert abs(untouched / 3000 - 0.64) < 0.035
    assert abs(rotated / 3000 - 0.2) < 0.03
    assert abs(scaled / 3000 - 0.2) < 0.03
    assert min(factors) > 0.7
    assert max(factors) < 1.4


def test_random_steps_run_as_often_as_they_say():
    steps = [step for step in pipeline().transforms if isinstance(step, RandomTransform)]
    for step in steps:
        share = np.mean([step.get_parameters()["apply_transform"] for _ in range(3000)])
        assert abs(share - step.apply_probability) < 4 * np.sqrt(step.apply_probability / 3000)


def test_each_mirror_axis_is_flipped_in_half_of_the_samples():
    step = pipeline().transforms[8]
    flips = np.array([[axis in step.get_parameters()["axes"] for axis in range(3)] for _ in range(1500)])
    assert np.all(np.abs(flips.mean(0) - 0.5) < 0.06)


def test_factors_are_as_often_below_as_above_one():
    draw = pipeline().transforms[6].transform.gamma
    factors = np.array([draw() for _ in range(3000)])
    assert abs((factors < 1).mean() - 0.5) < 0.04
    assert factors.min() >= 0.7
    assert factors.max() <= 1.5


def rotation_matrix(x, y, z):
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def source_coordinates(matrix, patch, loaded):
    """(S - 1) / 2 + A (k - (P - 1) / 2) for every voxel k of the patch; axes first."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in patch], indexing="ij"))
    return np.tensordot(matrix, grid, 1) + (np.array(loaded).reshape(-1, *[1] * len(patch)) - 1) / 2


def spatial_step(patch, angles, scale):
    step = pipeline(patch_size=patch, rotation_for_DA=lambda image, dim: angles[dim]).transforms[0]
    step.p_rotation = step.p_scaling = 1
    step.scaling = scale
    return step


@pytest.mark.parametrize(
    ("patch", "loaded", "angles", "scale"),
    [((9, 12, 11), (14, 17, 16), (0.3, -0.4, 0.2), 1.3), ((14, 11), (16, 15), (9.9, 0.6), 1.3)],
)
def test_the_spatial_step_samples_where_the_formula_says(patch, loaded, angles, scale):
    rng = np.random.RandomState(0)
    image = rng.uniform(-1, 1, (2, *loaded)).astype(np.float32)
    seg = rng.randint(0, 3, (1, *loaded)).astype(np.int16)
    seg[:, :6] = 1
    out = spatial_step(patch, angles, scale)(image=torch.from_numpy(image), segmentation=torch.from_numpy(seg))

    if len(patch) == 3:
        matrix = rotation_matrix(*angles) * scale
    else:
        matrix = np.array([[np.cos(angles[1]), -np.sin(angles[1])], [np.sin(angles[1]), np.cos(angles[1])]]) * scale
    source = source_coordinates(matrix, patch, loaded)
    for channel, result in zip(image, out["image"].numpy()):
        expected = map_coordinates(channel.astype(float), source, order=1, mode="grid-constant", cval=0)
        assert np.abs(result - expected).max() < 2e-5

    labels = np.array([-1, 0, 1, 2])
    scores = np.stack(
        [
            map_coordinates((seg[0] == v).astype(float), source, order=1, mode="grid-constant", cval=float(v == -1))
            for v in labels
        ]
    )
    top_two = np.sort(scores, axis=0)[-2:]
    clear = top_two[1] - top_two[0] > 2e-3
    assert clear.mean() > 0.95
    assert np.array_equal(out["segmentation"][0].numpy()[clear], labels[scores.argmax(0)][clear])
    assert out["segmentation"].dtype == torch.int16
    assert (out["segmentation"] == -1).any()


def test_without_rotation_and_scaling_the_centre_is_cut_out():
    step = pipeline(patch_size=(4, 5, 6)).transforms[0]
    step.p_rotation = step.p_scaling = 0
    image = torch.arange(9 * 8 * 7, dtype=torch.float32).reshape(1, 9, 8, 7)
    out = step(image=image.clone(), segmentation=image.to(torch.int16))
    expected = image[:, 9 // 2 - 2 : 9 // 2 + 2, 8 // 2 - 2 : 8 // 2 + 3, 7 // 2 - 3 : 7 // 2 + 3]
    assert torch.equal(out["image"], expected)
    assert torch.equal(out["segmentation"], expected.to(torch.int16))


def test_in_dummy_2d_all_slices_are_moved_alike():
    loaded = (3, 21, 21)
    full = pipeline(patch_size=(3, 15, 15), rotation_for_DA=(0.5, 0.5), do_dummy_2d_data_aug=True)
    full.transforms = full.transforms[:3]
    full.transforms[1].p_rotation = 1
    plane = torch.from_numpy(np.random.RandomState(1).uniform(size=loaded[1:]).astype(np.float32))
    image = plane.expand(2, *loaded).contiguous()
    out = full(image=image, segmentation=(image[:1] * 3).to(torch.int16))
    assert out["image"].shape == (2, 3, 15, 15)
    assert out["segmentation"].shape == (1, 3, 15, 15)
    assert torch.equal(out["image"][0, 0], out["image"][1, 2])
    assert not torch.allclose(out["image"][0, 0], plane[3:18, 3:18])


def test_blur_reaches_across_slices_even_in_dummy_2d():
    blur = pipeline(do_dummy_2d_data_aug=True).transforms[4].transform
    blur.p_per_channel = 1
    image = torch.zeros(1, 9, 9, 9)
    image[0, 4, 4, 4] = 1
    assert blur(image=image)["image"][0, 3, 4, 4] > 0


def test_noise_uses_the_drawn_value_as_standard_deviation():
    noise = pipeline().transforms[1].transform
    noise.noise_variance = 0.1
    assert abs(noise(image=torch.zeros(1, 40, 40, 40))["image"].std().item() - 0.1) < 0.002


def test_targets_of_deep_supervision_are_the_centre_right_voxels_of_their_cells():
    seg = torch.arange(4 * 8 * 8, dtype=torch.int16).reshape(1, 4, 8, 8)
    scales = [[1.0, 1.0, 1.0], [1.0, 0.5, 0.5], [0.5, 0.25, 0.25]]
    out = validation_transforms(scales)(image=torch.zeros(1, 4, 8, 8), segmentation=seg.clone())["segmentation"]
    assert [tuple(target.shape) for target in out] == [(1, 4, 8, 8), (1, 4, 4, 4), (1, 2, 2, 2)]
    assert all(target.dtype == torch.int16 for target in out)
    assert torch.equal(out[0], seg)
    assert torch.equal(out[1], seg[:, :, 1::2, 1::2])
    assert torch.equal(out[2], seg[:, 1::2, 2::4, 2::4])


@pytest.mark.parametrize(("ignore", "channels"), [(None, 2), (3, 3)])
def test_regions_become_bool_channels_with_the_ignore_label_last(ignore, channels):
    seg = torch.tensor([[[-1, 0, 1], [2, 3, 1]]], dtype=torch.int16)
    transforms = validation_transforms(None, regions=[(1, 2), 2], ignore_label=ignore)
    out = transforms(image=torch.zeros(1, 2, 3), segmentation=seg.clone())["segmentation"]
    expected = [(seg[0] == 1) | (seg[0] == 2), seg[0] == 2, seg[0] == 3][:channels]
    assert out.dtype == torch.bool
    assert torch.equal(out, torch.stack(expected))


def test_without_regions_the_ignore_label_stays_a_label():
    seg = torch.tensor([[[-1, 3]]], dtype=torch.int16)
    out = validation_transforms(None, ignore_label=3)(image=torch.zeros(1, 1, 2), segmentation=seg)
    assert out["segmentation"].tolist() == [[[0, 3]]]


def test_labels_of_the_previous_stage_become_image_channels():
    seg = torch.tensor([[[0, 1, -1]], [[2, -1, 1]]], dtype=torch.int16)
    transforms = validation_transforms(None, is_cascaded=True, foreground_labels=[1, 2])
    out = transforms(image=torch.full((1, 1, 3), 5.0), segmentation=seg)
    assert out["image"].tolist() == [[[5, 5, 5]], [[0, 0, 1]], [[1, 0, 0]]]
    assert out["image"].dtype == torch.float32
    assert out["segmentation"].tolist() == [[[0, 1, 0]]]


def test_cascade_noise_changes_only_the_label_channels():
    transforms = pipeline(is_cascaded=True, foreground_labels=[1, 2], cascade_label_probability=1)
    grow, lose = (step.transform for step in transforms.transforms[-2:])
    assert (grow.strel_size, sorted(grow.channel_idx)) == ((1, 8), [-2, -1])
    assert (lose.fill_with_other_class_p, lose.dont_do_if_covers_more_than_x_percent) == (0, 0.15)
    image = torch.zeros(3, 16, 16, 16)
    image[0] = torch.randn(16, 16, 16)
    image[1, 2:6, 2:6, 2:6] = 1
    image[2, 9:13, 9:13, 9:13] = 1
    before = image.clone()
    for _ in range(3):
        image = lose(**grow(image=image))["image"]
    assert torch.equal(image[0], before[0])
    assert not torch.equal(image[1:], before[1:])
    assert set(image[1:].unique().tolist()) <= {0.0, 1.0}
    assert not ((image[1] == 1) & (image[2] == 1)).any()


def test_a_cascade_without_labels_is_refused():
    with pytest.raises(UsageError, match="foreground_labels"):
        validation_transforms(None, is_cascaded=True)


@pytest.mark.parametrize(
    ("dummy_2d", "cascaded", "regions"), list(itertools.product([False, True], [False, True], [None, [(1, 2), (2,)]]))
)
def test_every_combination_runs_and_keeps_shapes_and_types(dummy_2d, cascaded, regions):
    transforms = pipeline(
        patch_size=(8, 16, 12),
        deep_supervision_scales=SCALES_3D[:2],
        do_dummy_2d_data_aug=dummy_2d,
        use_mask_for_norm=[True, False],
        is_cascaded=cascaded,
        foreground_labels=[1, 2],
        regions=regions,
        ignore_label=3 if regions else None,
    )
    spatial = next(step for step in transforms.transforms if isinstance(step, SpatialTransform))
    spatial.p_rotation = 1
    for step in transforms.transforms:
        if isinstance(step, RandomTransform):
            step.apply_probability = 1
    loaded = (8 if dummy_2d else 12, 20, 20)
    image = torch.randn(2, *loaded)
    seg = torch.randint(-1, 3, (2 if cascaded else 1, *loaded), dtype=torch.int16)
    out = transforms(image=image, segmentation=seg)
    assert out["image"].shape == (4 if cascaded else 2, 8, 16, 12)
    assert out["image"].dtype == torch.float32
    assert torch.isfinite(out["image"]).all()
    channels = 3 if regions else 1
    assert [tuple(t.shape) for t in out["segmentation"]] == [(channels, 8, 16, 12), (channels, 4, 8, 6)]
    assert out["segmentation"][0].dtype == (torch.bool if regions else torch.int16)
    assert out["segmentation"][0].min() >= 0
