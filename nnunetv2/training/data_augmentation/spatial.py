"""SpatialTransform: parameters, random draws and results of batchgeneratorsv2's, in a fraction of the time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial import spatial as library
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms

from nnunetv2.training.data_augmentation.label_sampling import DTYPES, sample_labels
from nnunetv2.training.dataloading.stored_patch import StoredPatch


class SpatialTransform(library.SpatialTransform):
    """Rotation, scaling, elastic deformation and cropping; see batchgeneratorsv2 for all parameters.

    The sampling grid of rotations and scalings is made in two passes, and label maps are only interpolated where
    labels meet. What this does not cover (elastic deformation, other interpolation and border modes of the
    segmentation) is left to the library. Works on tensors of any device.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._centred_points: dict[tuple, torch.Tensor] = {}

    def _get_base_grid_clone(self) -> torch.Tensor:
        if self.p_elastic_deform:
            return super()._get_base_grid_clone()
        # ``get_parameters`` makes the grid itself; this one passes through the library's steps at no cost.
        return torch.empty((0, len(self.patch_size)), device="cpu")

    def get_parameters(self, **data_dict: Any) -> dict:
        """Drawn by the library; ``grid`` is None when nothing is rotated or scaled."""
        parameters = super().get_parameters(**data_dict)
        if parameters["affine"] is not None and parameters["elastic_offsets"] is None:
            image = data_dict["image"]
            parameters["grid"] = self._affine_grid(
                parameters["affine"], parameters["center_location_in_pixels"], image.shape[1:], image.device
            )
        return parameters

    def _affine_grid(
        self, affine: np.ndarray, centre: Sequence[float], shape: Sequence[int], device: torch.device
    ) -> torch.Tensor:
        """Grid (*patch, D) for ``grid_sample``: ``(affine @ (k - (P - 1) / 2) + centre - S / 2) / (S / 2)``."""
        # grid_sample takes the last axis of space first, so columns are reversed.
        matrix = torch.tensor(affine.T[:, ::-1].copy(), dtype=torch.float32, device=device)
        points = self._points_around_centre(device) @ matrix
        shift = [c - s / 2 for c, s in zip(centre, shape)]
        if any(shift):
            points += torch.tensor(shift[::-1], device=device)
        points /= torch.tensor([s / 2 for s in reversed(shape)], device=device)
        return points.view(*self.patch_size, len(shape))

    def _points_around_centre(self, device: torch.device) -> torch.Tensor:
        key = (tuple(self.patch_size), device)
        if key not in self._centred_points:
            axes = [torch.linspace((1 - s) / 2, (s - 1) / 2, s, device=device) for s in self.patch_size]
            grid = torch.stack(torch.meshgrid(axes, indexing="ij"), -1)
            self._centred_points = {key: grid.flatten(0, -2)}
        return self._centred_points[key]

    def apply(self, data_dict: dict, **parameters: Any) -> dict:
        """Transforms the entries; of a ``StoredPatch`` only the final patch is read where nothing is interpolated."""
        stored = {key: value for key, value in data_dict.items() if isinstance(value, StoredPatch)}
        if stored:
            box, parameters = self._box_to_read(next(iter(stored.values())).shape[1:], parameters)
            data_dict |= {key: patch.read(*box) for key, patch in stored.items()}
        data_dict = super().apply(data_dict, **parameters)
        # Cropping gives views, on which all later steps are slower.
        return {key: v.contiguous() if isinstance(v, torch.Tensor) else v for key, v in data_dict.items()}

    def _box_to_read(self, shape: Sequence[int], parameters: dict) -> tuple[tuple, dict]:
        """Arguments of ``StoredPatch.read``, and the parameters for what it then gives."""
        if parameters["grid"] is not None:
            return (), parameters
        low = [math.floor(c) - size // 2 for c, size in zip(parameters["center_location_in_pixels"], self.patch_size)]
        high = [first + size for first, size in zip(low, self.patch_size)]
        if min(low) < 0 or any(last > size for last, size in zip(high, shape)):
            return (), parameters
        return (low, high), {**parameters, "center_location_in_pixels": [size / 2 for size in self.patch_size]}

    def _apply_to_segmentation(self, segmentation: torch.Tensor, **parameters: Any) -> torch.Tensor:
        if parameters["grid"] is None or not self._covers(segmentation):
            return super()._apply_to_segmentation(segmentation, **parameters)
        outside = self.padding_value_seg if self.border_mode_seg == "constant" else 0
        return sample_labels(segmentation, parameters["grid"], int(outside), self.align_corners)

    def _covers(self, segmentation: torch.Tensor) -> bool:
        return (
            self.mode_seg == "bilinear"
            and self.border_mode_seg in ("zeros", "constant")
            and self.seg_tiebreak == "nearest"
            and segmentation.dtype in DTYPES
        )


def reads_patches(transforms: Any) -> bool:
    """Whether this pipeline begins with the SpatialTransform of this module, which takes a ``StoredPatch``.

    Not where functions of the user are called with the image to draw parameters.
    """
    if type(transforms) is not ComposeTransforms or not transforms.transforms:
        return False
    first = transforms.transforms[0]
    return type(first) is SpatialTransform and not any(map(callable, (first.rotation, first.scaling)))
