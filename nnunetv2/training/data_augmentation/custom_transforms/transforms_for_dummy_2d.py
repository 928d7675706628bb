"""Treat 3D patches as 2D ones for a while: axis 0 joins the channels, and comes back."""

from __future__ import annotations

from collections.abc import Sequence

from batchgenerators.transforms.abstract_transforms import AbstractTransform


def _shape_key(key: str) -> str:
    return f"shape_of_{key}_before_2d"


class Convert3DTo2DTransform(AbstractTransform):
    """Reshape arrays (B, C, Z, Y, X) to (B, C * Z, Y, X); their shapes are kept in the batch for the way back."""

    def __init__(self, apply_to_keys: Sequence[str] = ("data", "seg")):
        self.apply_to_keys = apply_to_keys

    def __call__(self, **data_dict):
        for key in self.apply_to_keys:
            batch, channels, depth, *plane = shape = data_dict[key].shape
            data_dict[_shape_key(key)] = shape
            data_dict[key] = data_dict[key].reshape(batch, channels * depth, *plane)
        return data_dict


class Convert2DTo3DTransform(AbstractTransform):
    """Undo ``Convert3DTo2DTransform``; the plane (Y, X) may have been cropped in between."""

    def __init__(self, apply_to_keys: Sequence[str] = ("data", "seg")):
        self.apply_to_keys = apply_to_keys

    def __call__(self, **data_dict):
        for key in self.apply_to_keys:
            batch, channels, depth = data_dict.pop(_shape_key(key))[:3]
            data_dict[key] = data_dict[key].reshape(batch, channels, depth, *data_dict[key].shape[2:])
        return data_dict
