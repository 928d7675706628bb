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
    path = join(preprocessed_folder, FINGERPRINT_JSON)
    if not isfile(path):
        return 0
    fingerprint = Fingerprint.load(path)
    voxels = max((math.prod(shape) for shape in fingerprint.shapes_after_crop), default=0)
    voxels = int(voxels / min(1.0, max(fingerprint.median_relative_size_after_cropping, 0.01)))
    return voxels * (channels * _BYTES_PER_CHANNEL_VOXEL + _BYTES_PER_VOXEL)
