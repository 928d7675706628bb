"""Trainers with the DA5 pipeline: stronger and more varied augmentation, often better on small data sets."""

from __future__ import annotations

from functools import partial

from nnunetv2.training.data_augmentation import da5_pipeline
from nnunetv2.training.data_augmentation.patch_geometry import augmentation_geometry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# Other people's pipelines import these three from here: width of a local gradient in voxels, for the shape of an image
# and an axis; peak of an added gradient; exponent of a local gamma correction. All are drawn anew at each call.
_brightnessadditive_localgamma_transform_scale = da5_pipeline._gradient_width
_brightness_gradient_additive_max_strength = da5_pipeline._gradient_strength
_local_gamma_gamma = da5_pipeline._local_gamma


class nnUNetTrainerDA5(nnUNetTrainer):
    """The DA5 pipeline; loads larger patches, since it scales more strongly."""

    get_training_transforms = staticmethod(da5_pipeline.da5_training_transforms)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """As the default, with the patch to load enlarged for the scale factors of DA5."""
        geometry = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        rotation, dummy_2d, _, mirror_axes = geometry
        patch_size = self.configuration_manager.patch_size
        _, _, initial_patch, _ = augmentation_geometry(patch_size, da5_pipeline.SCALE_RANGE, allow_dummy_2d=dummy_2d)
        return rotation, dummy_2d, initial_patch, mirror_axes


class nnUNetTrainerDA5ord0(nnUNetTrainerDA5):
    """DA5; rotating and scaling take the nearest voxel, of images and segmentations."""

    get_training_transforms = staticmethod(
        partial(
            da5_pipeline.da5_training_transforms, interpolation_image="nearest", interpolation_segmentation="nearest"
        )
    )


class nnUNetTrainerDA5Segord0(nnUNetTrainerDA5):
    """DA5; rotating and scaling take the nearest voxel of segmentations."""

    get_training_transforms = staticmethod(
        partial(da5_pipeline.da5_training_transforms, interpolation_segmentation="nearest")
    )


class nnUNetTrainerDA5_10epochs(nnUNetTrainerDA5):
    """DA5, 10 epochs."""

    num_epochs = 10
