"""A patch that has been chosen, but not read yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nnunetv2.training.dataloading.patch_sampling import Array, crop_with_padding


class StoredPatch:
    """Part [start, stop) of stored arrays on one grid, their channels one after the other; read when asked for.

    Parameters
    ----------
    arrays : (C, Z, Y, X) or (Z, Y, X), anything that can be sliced.
    start, stop : voxels per axis; may reach past the arrays.
    fill, dtype : value outside the arrays, and type of what is read.
    is_2d : leave out axis 0, which the patch covers with one voxel.

    ``shape``, ``ndim`` and ``device`` are those of the tensor (channels, *patch) it stands for.
    """

    device = torch.device("cpu")

    def __init__(
        self, arrays: Sequence[Array], start: Sequence[int], stop: Sequence[int], fill: int, dtype: Any, is_2d: bool
    ):
        self.arrays, self.start, self.fill, self.dtype, self.is_2d = arrays, start, fill, dtype, is_2d
        channels = sum(array.shape[0] if array.ndim > len(start) else 1 for array in arrays)
        size = [high - low for low, high in zip(start, stop)]
        self.shape = torch.Size((channels, *size[is_2d:]))
        self.ndim = len(self.shape)

    def read(self, low: Sequence[int] | None = None, high: Sequence[int] | None = None) -> torch.Tensor:
        """The patch as a tensor of its own, or the box [low, high) of it, in voxels from its corner."""
        low = (0,) * (self.ndim - 1) if low is None else low
        high = self.shape[1:] if high is None else high
        first = [begin + offset for begin, offset in zip(self.start, [0, *low] if self.is_2d else low)]
        size = [b - a for a, b in zip(low, high)]
        last = [begin + length for begin, length in zip(first, [1, *size] if self.is_2d else size)]
        parts = [crop_with_padding(array, first, last, self.fill, self.dtype) for array in self.arrays]
        parts = [part.reshape(-1, *size) for part in parts]
        return torch.from_numpy(parts[0] if len(parts) == 1 else np.concatenate(parts))
