"""nnUNetDataLoader3D: the data loader for 3D patches under the name of nnU-Net 2.0 to 2.5."""

from __future__ import annotations

from nnunetv2.training.dataloading.base_data_loader import nnUNetDataLoaderBase


class nnUNetDataLoader3D(nnUNetDataLoaderBase):
    """``nnUNetDataLoaderBase`` for patches of 3 axes."""
