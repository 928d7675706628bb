"""The DA5 pipeline: which transforms, in which order, how often, and that they run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgeneratorsv2.transforms.utils.random import OneOfTransform, RandomTransform

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation import da5_pipeline
from nnunetv2.training.data_augmentation.da5_pipeline import da5_training_transforms, equal_axes


@pytest.fixture(autouse=True)
def seeded():
    np.random.seed(3)
    torch.manual_seed(3)


def pipeline(patch=(12, 10, 10), **changes):
    return da5_training_transforms(
        patch, (-0.5, 0.5), None, tuple(range(len(patch))), **{"do_dummy_2d_data_aug": False, **changes}
    )


def describe(step):
    if isinstance(step, OneOfTransform):
        return "one of", [describe(choice) for choice in step.list_of_transforms]
    if isinstance(step, RandomTransform):
        return type(step.transform).__name__, step.apply_probability
    return type(step).__name__, 1


def test_the_steps_are_in_order():
    assert [describe(step) for step in pipeline(is_cascaded=True, foreground_labels=[1]).transforms] == [
        ("SpatialTransform", 1),
        ("Rot90Transform", 0.5),
        ("TransposeAxesTransform", 0.5),
        ("one of", [("MedianFilterTransform", 0.2), ("GaussianBlurTransform", 0.2)]),
        ("GaussianNoiseTransform", 0.1),
        ("BrightnessAdditiveTransform", 0.1),
        ("one of", [("ContrastTransform", 0.2), ("ContrastTransform", 0.2)]),
        ("SimulateLowResolutionTransform", 0.15),
        ("GammaTransform", 0.1),
        ("GammaTransform", 0.1),
        ("MirrorTransform", 1),
        ("BlankRectangleTransform", 0.4),
        ("BrightnessGradientAdditiveTransform", 0.3),
        ("LocalGammaTransform", 0.3),
        ("SharpeningTransform", 0.2),
        ("RemoveLabelTransform", 1),
        ("MoveSegAsOneHotToDataTransform", 1),
        ("ApplyRandomBinaryOperatorTransform", 0.4),
        ("RemoveRandomConnectedComponentFromOneHotEncodingTransform", 0.2),
    ]


def test_gamma_is_inverted_both_times_and_cascade_labels_always_change():
    steps = pipeline(is_cascaded=True, foreground_labels=[1]).transforms
    assert [step.transform.p_invert_image for step in steps[8:10]] == [1, 1]
    assert [step.transform.p_per_label for step in steps[-2:]] == [1, 1]


@pytest.mark.parametrize(
    ("patch", "axes"),
    [((64, 32, 32), (1, 2)), ((32, 32, 32), (0, 1, 2)), ((16, 8), ()), ((8, 8), (0, 1)), ((3, 2, 1), ())],
)
def test_axes_of_equal_size_are_found(patch, axes):
    assert equal_axes(patch) == axes


def test_axes_are_shuffled_only_if_some_are_equal():
    shuffled = ("Rot90Transform", "TransposeAxesTransform")
    assert [describe(step)[0] in shuffled for step in pipeline((12, 10, 10)).transforms[:4]] == [
        False,
        True,
        True,
        False,
    ]
    assert not any(describe(step)[0] in shuffled for step in pipeline((12, 10, 8)).transforms)


def test_scale_factors_differ_between_axes_and_angles_are_dropped_half_of_the_time():
    step = pipeline().transforms[0]
    step.p_rotation, step.p_scaling = 0, 1
    factors = np.array([np.diag(step.get_parameters(image=torch.zeros(1, 9, 9, 9))["affine"]) for _ in range(300)])
    assert (factors[:, 0] != factors[:, 1]).all()
    assert factors.min() > 0.7
    assert factors.max() < 1.43
    step.p_rotation, step.p_scaling = 1, 0
    affines = [step.get_parameters(image=torch.zeros(1, 9, 9, 9))["affine"] for _ in range(800)]
    assert abs(np.mean([np.allclose(affine, np.eye(3)) for affine in affines]) - 1 / 8) < 0.05


def test_strengths_and_exponents_avoid_the_harmless_middle():
    strengths = np.array([da5_pipeline._gradient_strength() for _ in range(500)])
    assert abs((strengths > 0).mean() - 0.5) < 0.1
    assert 1 <= np.abs(strengths).min() <= np.abs(strengths).max() <= 5
    exponents = np.array([da5_pipeline._local_gamma() for _ in range(500)])
    assert (((exponents > 0.01) & (exponents < 0.8)) | ((exponents > 1.5) & (exponents < 4))).all()


def test_gradients_are_a_sixth_to_the_whole_of_the_extent_wide():
    widths = [da5_pipeline._gradient_width((60, 12), 0) for _ in range(500)]
    assert 10 <= min(widths) < 12
    assert 50 < max(widths) <= 60


def test_a_patch_too_thin_for_gradients_is_refused_before_training():
    assert pipeline((6, 20, 20)).transforms
    with pytest.raises(UsageError, match=r"at least 6 voxels.*patch_size is \[5, 20, 20\]"):
        pipeline((5, 20, 20))


@pytest.mark.parametrize(("patch", "dummy_2d"), [((14, 12, 12), False), ((6, 20, 20), True), ((20, 20), False)])
def test_all_steps_together_run_and_keep_shapes(patch, dummy_2d):
    transforms = pipeline(patch, do_dummy_2d_data_aug=dummy_2d)
    for step in transforms.transforms:
        for random_step in getattr(step, "list_of_transforms", [step]):
            if isinstance(random_step, RandomTransform):
                random_step.apply_probability = 1
    loaded = tuple(n if dummy_2d and axis == 0 else n + 5 for axis, n in enumerate(patch))
    for _ in range(4):
        out = transforms(
            image=torch.randn(2, *loaded), segmentation=torch.randint(-1, 3, (1, *loaded), dtype=torch.int16)
        )
        assert out["image"].shape == (2, *patch)
        assert out["segmentation"].shape == (1, *patch)
        assert torch.isfinite(out["image"]).all()
        assert out["segmentation"].min() >= 0
