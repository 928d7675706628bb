"""A trainer that augments flat 3D patches like any other."""

from __future__ import annotations

from nnunetv2.training.data_augmentation.patch_geometry import augmentation_geometry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_noDummy2DDA(nnUNetTrainer):
    """Rotates and scales 3D patches about all axes, by up to 30 degrees, whatever their shape."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """As the default for a patch that is not flat."""
        _, was_dummy_2d, _, mirror_axes = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        patch_size = self.configuration_manager.patch_size
        rotation, dummy_2d, initial_patch, _ = augmentation_geometry(patch_size, allow_dummy_2d=False)
        if was_dummy_2d:
            self.print_to_log_file(f"do_dummy_2d_data_aug: {dummy_2d}, since this trainer never uses it")
        return rotation, dummy_2d, initial_patch, mirror_axes
