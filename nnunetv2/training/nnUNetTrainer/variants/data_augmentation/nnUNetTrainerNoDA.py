"""A trainer without augmentation."""

from __future__ import annotations

from collections.abc import Sequence

from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from nnunetv2.training.data_augmentation.default_pipeline import Region, validation_transforms
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerNoDA(nnUNetTrainer):
    """Trains on patches as they are, so images are not masked again either; never mirrors."""

    @staticmethod
    def get_training_transforms(
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
    ) -> ComposeTransforms:
        """The validation pipeline; what concerns augmentation among the arguments has no effect."""
        return validation_transforms(deep_supervision_scales, is_cascaded, foreground_labels, regions, ignore_label)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """No rotation, no mirroring, and no more loaded than the patch."""
        self.inference_allowed_mirroring_axes = None
        return (0.0, 0.0), False, tuple(self.configuration_manager.patch_size), None
