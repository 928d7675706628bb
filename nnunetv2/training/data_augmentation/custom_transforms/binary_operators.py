"""Morphology of boolean masks, quick for large structuring elements.

A mask is a bool array (Y, X) or (Z, Y, X). Beyond its border lies background for dilation and foreground for erosion,
so neither creates an edge where the patch merely ends. The work is done by batchgeneratorsv2, by Fourier transform.
"""

from __future__ import annotations

import numpy as np
import torch
from batchgeneratorsv2.transforms.nnunet.random_binary_operator import binary_dilation_torch, binary_erosion_torch


def dilation(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Voxels within reach of the mask."""
    return binary_dilation_torch(_tensor(mask), _tensor(element)).numpy()


def erosion(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Voxels out of reach of the background."""
    return binary_erosion_torch(_tensor(mask), _tensor(element)).numpy()


def closing(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Dilation, then erosion: fills narrow gaps."""
    return erosion(dilation(mask, element), element)


def opening(mask: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Erosion, then dilation: removes thin parts."""
    return dilation(erosion(mask, element), element)


def _tensor(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask, dtype=bool))
