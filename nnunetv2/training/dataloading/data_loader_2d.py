"""nnUNetDataLoader2D: the data loader for 2D patches under the name of nnU-Net 2.0 to 2.5."""

from __future__ import annotations

from nnunetv2.training.dataloading.base_data_loader import nnUNetDataLoaderBase


class nnUNetDataLoader2D(nnUNetDataLoaderBase):
    """``nnUNetDataLoaderBase`` for patches of 2 axes."""
