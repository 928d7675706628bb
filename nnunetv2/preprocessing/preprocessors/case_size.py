"""How much memory preprocessing the largest case of a data set takes, known from its fingerprint."""

from __future__ import annotations

import math
from os.path import isfile, join

from nnunetv2.records.fingerprint import Fingerprint
from nnunetv2.records.layout import FINGERPRINT_JSON

# Per voxel of an image: each channel as float32, and the segmentation as it is read (float32) and as it is kept, the
# nonzero mask, and the like. Measured: 11.5 bytes for CT of 512 x 512 x 145 voxels.
_BYTES_PER_CHANNEL_VOXEL = 4
_BYTES_PER_VOXEL = 8


def bytes_of_largest_case(preprocessed_folder: str, channels: int) -> int:
    """Estimated peak memory in bytes of one worker, without what it imports; 0 when there is no fingerprint.

    The fingerprint knows shapes after cropping; the share that cropping leaves is known as the median over the cases.
    """
    fingerprint = _fingerprint(preprocessed_folder)
    if fingerprint is None:
        return 0
    voxels = _largest(fingerprint) / min(1.0, max(fingerprint.median_relative_size_after_cropping, 0.01))
    return int(voxels) * (channels * _BYTES_PER_CHANNEL_VOXEL + _BYTES_PER_VOXEL)


def least_bytes_of_largest_case(preprocessed_folder: str, channels: int) -> int:
    """What a worker needs in any case: the cropped image as float32, once; 0 when there is no fingerprint."""
    fingerprint = _fingerprint(preprocessed_folder)
    return 0 if fingerprint is None else _largest(fingerprint) * channels * _BYTES_PER_CHANNEL_VOXEL


def _fingerprint(preprocessed_folder: str) -> Fingerprint | None:
    path = join(preprocessed_folder, FINGERPRINT_JSON)
    return Fingerprint.load(path) if isfile(path) else None


def _largest(fingerprint: Fingerprint) -> int:
    """Voxels of the largest case after cropping."""
    return max((math.prod(shape) for shape in fingerprint.shapes_after_crop), default=0)
