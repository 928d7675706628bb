"""How many processes augment data."""

from __future__ import annotations

from nnunetv2.configuration import num_augmentation_processes


def get_allowed_n_proc_DA() -> int:
    """``nnUNet_n_proc_DA``, else 12, never more than there are CPUs; 0 means in the training process."""
    return num_augmentation_processes()
