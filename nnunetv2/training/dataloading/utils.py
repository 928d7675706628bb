"""Facade: helpers for folders of preprocessed cases under their established import path."""

from __future__ import annotations

from nnunetv2.storage.legacy_dataset import get_case_identifiers
from nnunetv2.storage.unpacking import unpack_dataset

__all__ = ["get_case_identifiers", "unpack_dataset"]
