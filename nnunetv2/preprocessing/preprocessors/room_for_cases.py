"""How much disk the cases that are to be preprocessed are going to take: between what bounds."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from os.path import isfile, join
from typing import Any

from nnunetv2.preprocessing.preprocessors.case_steps import target_spacing
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.records.fingerprint import Fingerprint
from nnunetv2.records.layout import FINGERPRINT_JSON
from nnunetv2.storage.made_from import read_record, recorded_cases

# Bytes per voxel before compression: float32 per channel, int16 for the segmentation.
_IMAGE_BYTES, _LABEL_BYTES = 4, 2
# What lies around the arrays of a case: headers, properties with class locations. Taken into the upper bound only.
_BYTES_AROUND = 1 << 20
# So many finished cases show how sizes relate.
_MOST_EXAMPLES = 100


def most_bytes(
    preprocessed_folder: str, transpose_forward: Sequence[int], spacing: Sequence[float], channels: int, cases: int
) -> int | None:
    """Bytes of ``cases`` preprocessed cases before compression; None when there is no fingerprint.

    ``spacing`` (mm) is the configuration's. Where the fingerprint has other cases, the largest ones are counted.
    """
    path = join(preprocessed_folder, FINGERPRINT_JSON)
    if not isfile(path):
        return None
    fingerprint = Fingerprint.load(path)
    voxels = []
    for shape, old in zip(fingerprint.shapes_after_crop, fingerprint.spacings):
        turned, spacings = [shape[i] for i in transpose_forward], [old[i] for i in transpose_forward]
        voxels.append(math.prod(compute_new_shape(turned, spacings, target_spacing(spacing, spacings))))
    if not voxels:
        return None
    largest = sorted(voxels, reverse=True)[:cases]
    total = sum(largest) + (cases - len(largest)) * max(voxels)
    return int(total * (_IMAGE_BYTES * channels + _LABEL_BYTES)) + cases * _BYTES_AROUND


def least_bytes(data_folder: str, inputs: Iterable[Sequence[str]]) -> int:
    """Bytes that cases made from ``inputs`` (their files) take at least, going by those that are finished there.

    The smallest share of output in input of any of them is taken for all, since images differ in how well they
    compress; 0 while none is finished.
    """
    finished = sorted(recorded_cases(data_folder))
    examples = finished[:: max(1, len(finished) // _MOST_EXAMPLES)]
    records = (read_record(data_folder, case) for case in examples)
    shares = [_share(record) for record in records if record is not None]
    return int(min(shares, default=0.0) * sum(os.path.getsize(path) for files in inputs for path in files))


def _share(record: Mapping[str, Any]) -> float:
    """Bytes of a finished case per byte of the files it was made from."""
    return sum(record["files"].values()) / max(1, sum(file["size"] for file in record["inputs"]))
