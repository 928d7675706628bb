"""Facade: the data set classes under their established import path."""

from __future__ import annotations

from nnunetv2.storage.blosc2_store import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.storage.dataset import nnUNetBaseDataset
from nnunetv2.storage.legacy_dataset import nnUNetDataset
from nnunetv2.storage.numpy_store import nnUNetDatasetNumpy
from nnunetv2.storage.stores import file_ending_dataset_mapping, infer_dataset_class

__all__ = [
    "comp_blosc2_params",
    "file_ending_dataset_mapping",
    "infer_dataset_class",
    "nnUNetBaseDataset",
    "nnUNetDataset",
    "nnUNetDatasetBlosc2",
    "nnUNetDatasetNumpy",
]
