"""The default transforms of training and validation patches, as batchgeneratorsv2 pipelines.

Every transform works on one sample: a dict with ``image`` float32 (C, *patch) and ``segmentation`` int16 (1, *patch),
or (2, *patch) with the labels of the previous stage as channel 1. Label -1 marks voxels outside the nonzero mask and
padding. Order, probabilities and ranges are those of nnU-Net v2.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchgeneratorsv2.transforms.base.basic_transform import BasicTransform
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import BGContrast, ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.nnunet.remove_connected_components import (
    RemoveRandomConnectedComponentFromOneHotEncodingTransform,
)
from batchgeneratorsv2.transforms.nnunet.seg_to_onehot import MoveSegAsOneHotToDataTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.nnunet_masking import MaskImageTransform
from batchgeneratorsv2.transforms.utils.pseudo2d import Convert2DTo3DTransform, Convert3DTo2DTransform
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from batchgeneratorsv2.transforms.utils.seg_to_regions import ConvertSegmentationToRegionsTransform

from nnunetv2.errors import UsageError
from nnunetv2.training.data_augmentation.label_transforms import DownsampleSegForDSTransform, RemoveLabelTransform

OUTSIDE_LABEL = -1
CASCADE_LABEL_PROBABILITY = 0.5

Region = int | tuple[int, ...] | list[int]


def training_transforms(
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
    cascade_label_probability: float = CASCADE_LABEL_PROBABILITY,
) -> ComposeTransforms:
    """The training pipeline; its ``transforms`` list may be edited.

    Parameters
    ----------
    patch_size : final patch in voxels, 2 or 3 entries; the pipeline crops the loaded patch to it.
    rotation_for_DA : range of rotation angles in radians, drawn anew for each axis.
    deep_supervision_scales : factors per output and axis; None gives a single target.
    mirror_axes : spatial axes that may be flipped, or None.
    do_dummy_2d_data_aug : transform a 3D patch within the plane of axes 1 and 2, all slices alike.
    use_mask_for_norm : per image channel, whether to set it to 0 where the segmentation is negative.
    is_cascaded, foreground_labels : append the labels of the previous stage to the image, one channel per label.
    regions, ignore_label : the target gets one channel per region, and a last one for the ignore label.
    interpolation_image, interpolation_segmentation : ``"bilinear"`` or ``"nearest"`` in the spatial transform.
    cascade_label_probability : chance of each label to be changed by a cascade transform that runs.

    Raises UsageError when a cascade is asked for without its labels.
    """
    return ComposeTransforms(
        [
            *_spatial(
                patch_size, rotation_for_DA, do_dummy_2d_data_aug, interpolation_image, interpolation_segmentation
            ),
            *_intensity(do_dummy_2d_data_aug),
            *mirroring(mirror_axes),
            *masking(use_mask_for_norm),
            *label_cleaning(),
            *cascade_input(is_cascaded, foreground_labels),
            *cascade_noise(is_cascaded, foreground_labels, cascade_label_probability),
            *targets(regions, ignore_label, deep_supervision_scales),
        ]
    )


def validation_transforms(
    deep_supervision_scales: Sequence[Sequence[float]] | None,
    is_cascaded: bool = False,
    foreground_labels: Sequence[int] | None = None,
    regions: Sequence[Region] | None = None,
    ignore_label: int | None = None,
) -> ComposeTransforms:
    """The validation pipeline: nothing random, only what turns labels into network input and targets."""
    return ComposeTransforms(
        [
            *label_cleaning(),
            *cascade_input(is_cascaded, foreground_labels),
            *targets(regions, ignore_label, deep_supervision_scales),
        ]
    )


def sometimes(probability: float, transform: BasicTransform) -> RandomTransform:
    """``transform`` with the given probability per sample."""
    return RandomTransform(transform, apply_probability=probability)


def _spatial(
    patch_size: Sequence[int],
    rotation: Sequence[float] | float,
    dummy_2d: bool,
    interpolation_image: str,
    interpolation_segmentation: str,
) -> list[BasicTransform]:
    # Loads pandas, which nobody should wait for who imports a trainer to predict.
    from nnunetv2.training.data_augmentation.spatial import SpatialTransform

    crop_rotate_scale = SpatialTransform(
        patch_size=tuple(int(n) for n in (patch_size[1:] if dummy_2d else patch_size)),
        patch_center_dist_from_border=0,
        random_crop=False,
        p_rotation=0.2,
        rotation=rotation,
        p_scaling=0.2,
        scaling=(0.7, 1.4),
        p_synchronize_scaling_across_axes=1,
        mode_image=interpolation_image,
        mode_seg=interpolation_segmentation,
        border_mode_seg="constant",
        padding_value_seg=OUTSIDE_LABEL,
    )
    return [Convert3DTo2DTransform(), crop_rotate_scale, Convert2DTo3DTransform()] if dummy_2d else [crop_rotate_scale]


def _intensity(dummy_2d: bool) -> list[BasicTransform]:
    low_resolution = SimulateLowResolutionTransform(
        scale=(0.5, 1),
        synchronize_channels=False,
        synchronize_axes=True,
        ignore_axes=(0,) if dummy_2d else None,
        p_per_channel=0.5,
    )
    return [
        # The range is one of standard deviations, whatever the parameter is called.
        sometimes(0.1, GaussianNoiseTransform(noise_variance=(0, 0.1), synchronize_channels=True)),
        sometimes(0.2, GaussianBlurTransform(blur_sigma=(0.5, 1.0), p_per_channel=0.5)),
        sometimes(0.15, MultiplicativeBrightnessTransform(BGContrast((0.75, 1.25)), synchronize_channels=False)),
        sometimes(0.15, ContrastTransform(BGContrast((0.75, 1.25)), preserve_range=True, synchronize_channels=False)),
        sometimes(0.25, low_resolution),
        sometimes(0.1, gamma(inverted=True)),
        sometimes(0.3, gamma(inverted=False)),
    ]


def gamma(inverted: bool) -> GammaTransform:
    """Gamma correction with exponents around 1, per channel; mean and standard deviation stay as they were."""
    return GammaTransform(
        BGContrast((0.7, 1.5)),
        p_invert_image=float(inverted),
        synchronize_channels=False,
        p_per_channel=1,
        p_retain_stats=1,
    )


def mirroring(mirror_axes: Sequence[int] | None) -> list[BasicTransform]:
    """Flips along each allowed axis with probability one half; nothing for None or no axes."""
    return [MirrorTransform(allowed_axes=tuple(mirror_axes))] if mirror_axes is not None and len(mirror_axes) else []


def masking(use_mask_for_norm: Sequence[bool] | None) -> list[BasicTransform]:
    """Zero outside the mask for the image channels that were normalised inside it; covers padding too."""
    channels = [channel for channel, masked in enumerate(use_mask_for_norm or ()) if masked]
    return [MaskImageTransform(channels, channel_idx_in_seg=0, set_outside_to=0)] if channels else []


def label_cleaning() -> list[BasicTransform]:
    """Outside becomes background, in all segmentation channels."""
    return [RemoveLabelTransform(OUTSIDE_LABEL, 0)]


def cascade_input(is_cascaded: bool, foreground_labels: Sequence[int] | None) -> list[BasicTransform]:
    """Segmentation channel 1 becomes one image channel per foreground label."""
    if not is_cascaded:
        return []
    return [MoveSegAsOneHotToDataTransform(1, _labels_of_cascade(foreground_labels), remove_channel_from_source=True)]


def cascade_noise(
    is_cascaded: bool, foreground_labels: Sequence[int] | None, label_probability: float
) -> list[BasicTransform]:
    """Make the labels of the previous stage worse than they are, so that the network does not trust them blindly."""
    if not is_cascaded:
        return []
    # Loads scikit-image's morphology, a tenth of the time that torch takes.
    from batchgeneratorsv2.transforms.nnunet.random_binary_operator import ApplyRandomBinaryOperatorTransform

    count = len(_labels_of_cascade(foreground_labels))
    grow_or_shrink = ApplyRandomBinaryOperatorTransform(
        channel_idx=list(range(-count, 0)), strel_size=(1, 8), p_per_label=label_probability
    )
    lose_a_part = RemoveRandomConnectedComponentFromOneHotEncodingTransform(
        channel_idx=list(range(-count, 0)),
        fill_with_other_class_p=0,
        dont_do_if_covers_more_than_x_percent=0.15,
        p_per_label=label_probability,
    )
    return [sometimes(0.4, grow_or_shrink), sometimes(0.2, lose_a_part)]


def targets(
    regions: Sequence[Region] | None,
    ignore_label: int | None,
    deep_supervision_scales: Sequence[Sequence[float]] | None,
) -> list[BasicTransform]:
    """Labels to what the loss compares with: region channels if any, then one target per output resolution."""
    steps: list[BasicTransform] = []
    if regions is not None:
        channels = list(regions) if ignore_label is None else [*regions, ignore_label]
        steps.append(ConvertSegmentationToRegionsTransform(channels, channel_in_seg=0))
    if deep_supervision_scales is not None:
        steps.append(DownsampleSegForDSTransform(ds_scales=deep_supervision_scales))
    return steps


def _labels_of_cascade(foreground_labels: Sequence[int] | None) -> list[int]:
    if not foreground_labels:
        raise UsageError("the second stage of a cascade needs foreground_labels, got none")
    return list(foreground_labels)
