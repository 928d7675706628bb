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
