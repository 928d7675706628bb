"""Trainers that take the nearest voxel where the default augmentation interpolates.

Their cascade transforms consider every label, as in the releases these trainers come from; the default skips half.
"""

from __future__ import annotations

from functools import partial

from nnunetv2.training.data_augmentation.default_pipeline import training_transforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainer_onlyMirror01,
    nnUNetTrainerNoMirroring,
)


class nnUNetTrainerDAOrd0(nnUNetTrainer):
    """Rotating and scaling take the nearest voxel, of images and segmentations. Checkpoints up to 2.4 name it."""

    get_training_transforms = staticmethod(
        partial(
            training_transforms,
            interpolation_image="nearest",
            interpolation_segmentation="nearest",
            cascade_label_probability=1,
        )
    )


class nnUNetTrainer_DASegOrd0(nnUNetTrainer):
    """Rotating and scaling take the nearest voxel of segmentations."""

    get_training_transforms = staticmethod(
        partial(training_transforms, interpolation_segmentation="nearest", cascade_label_probability=1)
    )


class nnUNetTrainer_DASegOrd0_NoMirroring(nnUNetTrainer_DASegOrd0, nnUNetTrainerNoMirroring):
    """Nearest voxel of segmentations; never mirrors."""


class nnUNetTrainer_onlyMirror01_DASegOrd0(nnUNetTrainer_onlyMirror01, nnUNetTrainer_DASegOrd0):
    """Nearest voxel of segmentations; does not mirror the last axis."""
