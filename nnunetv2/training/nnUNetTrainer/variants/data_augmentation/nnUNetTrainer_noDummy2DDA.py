"""A trainer that augments flat 3D patches like any other."""

from __future__ import annotations

from nnunetv2.training.data_augmentation.patch_geometry import augmentation_geometry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_noDummy2DDA(nnUNetTrainer):
    """Rotates and scales 3D patches about all axes, by up to 30 degrees, whatever their shape."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """As the default for a patch that is not flat."""
        geometry = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        _, dummy_2d, _, mirror_axes = geometry
        if not dummy_2d:
            return geometry
        self.print_to_log_file("do_dummy_2d_data_aug: False, since this trainer never uses it")
        rotation, _, initial_patch, _ = augmentation_geometry(
            self.configuration_manager.patch_size, allow_dummy_2d=False
        )
        return rotation, False, initial_patch, mirror_axes
