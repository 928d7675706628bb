"""Established path of the cross-validation split; it lives in ``nnunetv2.records.splits``."""

from nnunetv2.records.splits import generate_crossval_split

__all__ = ["generate_crossval_split"]
