"""The DA5 pipeline: stronger and more varied transforms than the default, for trainers that ask for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.local.brightness_gradient import BrightnessGradientAdditiveTransform
from batchgeneratorsv2.transforms.local.local_gamma import LocalGammaTransform
from batchgeneratorsv2.transforms.noise.blank_rectangle import BlankRectangleTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.noise.median_filter import MedianFilterTransform
from batchgeneratorsv2.transforms.noise.sharpen import SharpeningTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.rot90 import Rot90Transform
from batchgeneratorsv2.transforms.spatial.transpose import TransposeAxesTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import OneOfTransform

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.default_pipeline import (
    OUTSIDE_LABEL,
    Region,
    cascade_input,
    cascade_noise,
    gamma,
    label_cleaning,
    masking,
    mirroring,
    sometimes,
    targets,
)
from nnunetv2.training.data_augmentation.spatial import SpatialTransform

# Range of the scale factors, also used for the size of the patch to load.
SCALE_RANGE = (0.7, 1.43)

# Gradients are at least a sixth of the patch wide, in whole voxels.
SMALLEST_PATCH = 6

_GRADIENT_CENTRE = (-0.5, 1.5)


def da5_training_transforms(
    patch_size: Sequence[int],
    rotation_for_DA: Sequence[float] | float,
    deep_supervision_scales: Sequence[Sequence[float]] | None,
    mirror_axes: Sequence[int] | None,
    do_dummy_2d_data_aug: bool,
    use_mask_for_norm: Sequence[bool] | None = None,
    is_cascaded: bool = False,
    foreground_labels: Sequence[int] | None = None,
    regions: Sequence[Region] | None = None,
    ignore_label: int | None = None,
    *,
    interpolation_image: str = "bilinear",
    interpolation_segmentation: str = "bilinear",
) -> ComposeTransforms:
    """The DA5 training pipeline; parameters as in ``default_pipeline.training_transforms``.

    Raises UsageError for a patch with fewer than 6 voxels along an axis, because gradients spread over at least a sixth
    of it.
    """
    if min(patch_size) < SMALLEST_PATCH:
        raise UsageError(
            f"DA5 augmentation needs at least {SMALLEST_PATCH} voxels along every axis, and patch_size is "
            f"{[int(n) for n in patch_size]}. Enlarge it in the plans, or use a trainer without DA5"
        )
    return ComposeTransforms(
        [
            *_spatial(
                patch_size, rotation_for_DA, do_dummy_2d_data_aug, interpolation_image, interpolation_segmentation
            ),
            *_axis_shuffling(patch_size),
            *_intensity(do_dummy_2d_data_aug),
            *mirroring(mirror_axes),
            *_local(patch_size),
            *masking(use_mask_for_norm),
            *label_cleaning(),
            *cascade_input(is_cascaded, foreground_labels),
            *cascade_noise(is_cascaded, foreground_labels, label_probability=1),
            *targets(regions, ignore_label, deep_supervision_scales),
        ]
    )


def equal_axes(patch_size: Sequence[int]) -> tuple[int, ...]:
    """Axes that share the most frequent size, if there are at least two of them."""
    size, count = Counter(int(n) for n in patch_size).most_common(1)[0]
    return tuple(axis for axis, n in enumerate(patch_size) if int(n) == size) if count > 1 else ()


def _spatial(
    patch_size: Sequence[int],
    rotation: Sequence[float] | float,
    dummy_2d: bool,
    interpolation_image: str,
    interpolation_segmentation: str,
) -> list[BasicTransform]:
    crop_rotate_scale = SpatialTransform(
        patch_size=tuple(int(n) for n in (patch_size[1:] if dummy_2d else patch_size)),
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=0.4,
        rotation=rotation,
        p_rot_per_axis=0.5,
        p_scaling=0.2,
        scaling=SCALE_RANGE,
        p_synchronize_scaling_across_axes=0,
        mode_image=interpolation_image,
        mode_seg=interpolation_segmentation,
        border_mode_seg="constant",
        padding_value_seg=OUTSIDE_LABEL,
    )
    return [Convert3DTo2DTransform(), crop_rotate_scale, Convert2DTo3DTransform()] if dummy_2d else [crop_rotate_scale]


def _axis_shuffling(patch_size: Sequence[int]) -> list[BasicTransform]:
    axes = equal_axes(patch_size)
    if not axes:
        return []
    quarter_turns = Rot90Transform(num_axis_combinations=1, num_rot_per_combination=(0, 1, 2, 3), allowed_axes=axes)
    return [sometimes(0.5, quarter_turns), sometimes(0.5, TransposeAxesTransform(allowed_axes=axes))]


def _intensity(dummy_2d: bool) -> list[BasicTransform]:
    smoothing = [
        MedianFilterTransform(filter_size=(2, 8), p_per_channel=0.5),
        GaussianBlurTransform(blur_sigma=(0.3, 1.5), synchronize_axes=True, p_per_channel=0.5),
    ]
    contrast = [
        ContrastTransform(BGContrast((0.5, 2)), preserve_range=kept, synchronize_channels=False, p_per_channel=0.5)
        for kept in (True, False)
    ]
    low_resolution = SimulateLowResolutionTransform(
        scale=(0.25, 1),
        synchronize_channels=False,
        synchronize_axes=True,
        ignore_axes=(0,) if dummy_2d else None,
        p_per_channel=0.5,
    )
    return [
        OneOfTransform([sometimes(0.2, transform) for transform in smoothing]),
        sometimes(0.1, GaussianNoiseTransform(noise_variance=(0, 0.1), synchronize_channels=True)),
        sometimes(0.1, BrightnessAdditiveTransform(0, 0.5, synchronize_channels=False, p_per_channel=0.5)),
        OneOfTransform([sometimes(0.2, transform) for transform in contrast]),
        sometimes(0.15, low_resolution),
        # Inverted both times: results published with DA5 were made this way.
        sometimes(0.1, gamma(inverted=True)),
        sometimes(0.1, gamma(inverted=True)),
    ]


def _local(patch_size: Sequence[int]) -> list[BasicTransform]:
    rectangle = tuple(_rectangle_edge(int(n)) for n in patch_size)
    return [
        sometimes(0.4, BlankRectangleTransform(rectangle, _mean, num_rectangles=(1, 5), p_per_channel=0.5)),
        sometimes(
            0.3,
            BrightnessGradientAdditiveTransform(
                scale=_gradient_width,
                loc=_GRADIENT_CENTRE,
                max_strength=_gradient_strength,
                same_for_all_channels=False,
                mean_centered=False,
                clip_intensities=False,
                p_per_channel=0.5,
            ),
        ),
        sometimes(
            0.3,
            LocalGammaTransform(
                scale=_gradient_width,
                loc=_GRADIENT_CENTRE,
                gamma=_local_gamma,
                same_for_all_channels=False,
                p_per_channel=0.5,
            ),
        ),
        sometimes(0.2, SharpeningTransform(strength=(0.1, 1.0), p_per_channel=0.5, p_clamp_intensities=0)),
    ]


def _rectangle_edge(size: int) -> tuple[int, int]:
    shortest = max(1, size // 10)
    return shortest, max(shortest + 1, size // 3)


def _mean(box: torch.Tensor) -> float:
    return float(box.mean())


def _gradient_width(image_shape: Sequence[int], axis: int) -> float:
    """Standard deviation in voxels, log-uniform between a sixth of the extent and the extent."""
    size = image_shape[axis]
    return float(np.exp(np.random.uniform(np.log(size // 6), np.log(size))))


def _gradient_strength(*_) -> float:
    sign = 1 if np.random.random() < 0.5 else -1
    return sign * float(np.random.uniform(1, 5))


def _local_gamma(*_) -> float:
    return float(np.random.uniform(0.01, 0.8) if np.random.random() < 0.5 else np.random.uniform(1.5, 4))
