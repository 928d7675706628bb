"""Trainers that mirror less, in training and at inference: for structures whose left and right differ."""

from __future__ import annotations

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainerNoMirroring(nnUNetTrainer):
    """Never mirrors."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """As the default, without mirror axes."""
        rotation, dummy_2d, initial_patch, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return rotation, dummy_2d, initial_patch, None


class nnUNetTrainer_onlyMirror01(nnUNetTrainer):
    """Does not mirror the last axis: (0, 1) remain in 3D, (0,) in 2D."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self):
        """As the default, without the last axis among the mirror axes."""
        geometry = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        rotation, dummy_2d, initial_patch, mirror_axes = geometry
        last = len(self.configuration_manager.patch_size) - 1
        kept = tuple(axis for axis in mirror_axes or () if axis != last) or None
        self.inference_allowed_mirroring_axes = kept
        return rotation, dummy_2d, initial_patch, kept


class nnUNetTrainer_onlyMirror01_1500ep(nnUNetTrainer_onlyMirror01):
    """Does not mirror the last axis; 1500 epochs."""

    num_epochs = 1500
