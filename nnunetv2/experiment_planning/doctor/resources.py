"""Disk, memory and time that a data set is going to need, estimated from the cases that were examined."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nnunetv2.experiment_planning.doctor.case_examination import CaseFacts
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.records.findings import DatasetFinding
from nnunetv2.utilities.disk_space import free_bytes, in_words

_FLOAT32, _INT16 = 4, 2
# Arrays of all channels that preprocessing holds at once: as read, cropped and normalized, resampled; and two channels
# in work.
_COPIES, _CHANNELS_IN_WORK = 3, 2
_PROBE = (24, 48, 48)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """Estimates for one full-resolution configuration, target spacing being the median."""

    raw_bytes: int
    """Image and label files of all training cases."""
    preprocessed_bytes: int
    """Upper bound for one configuration: before compression, which commonly halves it."""
    memory_bytes: int
    """Of one worker with the largest case."""
    check_seconds: float
    """Reading and checking all cases in one process, as measured on the examined ones."""
    preprocessing_seconds: float
    """Reading and resampling all cases in one process."""
    estimated_from: int
    """Cases examined."""


def estimate(facts: Sequence[CaseFacts], number_of_cases: int) -> Resources | None:
    """Estimates for ``number_of_cases`` of which ``facts`` are examples; None when none could be read."""
    known = [case for case in facts if case.shape is not None and min(case.spacing or (0,)) > 0]
    if not known:
        return None
    scale = number_of_cases / len(known)
    median = np.median([case.spacing for case in known], axis=0)
    channels = max(len(case.channels) for case in known)
    voxels = np.array([np.prod(case.shape, dtype=float) for case in known])
    after = voxels * np.array([np.prod(np.array(case.spacing) / median) for case in known])
    largest = float(np.maximum(voxels, after).max())
    seconds = sum(case.seconds for case in known)
    return Resources(
        raw_bytes=round(scale * sum(case.file_bytes for case in known)),
        preprocessed_bytes=round(scale * float(after.sum()) * (_FLOAT32 * channels + _INT16)),
        memory_bytes=round(largest * _FLOAT32 * (_COPIES * channels + _CHANNELS_IN_WORK)),
        check_seconds=scale * seconds,
        preprocessing_seconds=scale * (seconds + float(after.sum()) * channels / _resampled_voxels_per_second()),
        estimated_from=len(known),
    )


def _resampled_voxels_per_second() -> float:
    """Speed of cubic resampling on this machine, measured on a small array."""
    # Planners are looked for in this package by importing it, and planning must not load torch.
    from nnunetv2.preprocessing.resampling.default_resampling import resample_data_or_seg_to_shape

    probe = np.random.RandomState(0).normal(size=(1, *_PROBE)).astype(np.float32)
    shape = [n + 2 for n in _PROBE]
    started = time.perf_counter()
    resample_data_or_seg_to_shape(probe, shape, [1.0] * 3, [n / m for n, m in zip(_PROBE, shape)])
    return float(np.prod(shape)) / (time.perf_counter() - started)


def shortages(needed: Resources, folder: str) -> list[DatasetFinding]:
    """Warnings where this machine has not got what is needed."""
    place = nnUNet_preprocessed.get() or folder
    free, found = free_bytes(place), []
    shortage = partial(DatasetFinding, severity="warning", kind="resources")
    if free is not None and needed.preprocessed_bytes > free:
        found.append(
            shortage(
                file=place,
                key="free disk space",
                value=in_words(free),
                reason=f"one configuration needs up to {in_words(needed.preprocessed_bytes)} there",
                remedy="free space, or set nnUNet_preprocessed to a folder on a larger disk",
            )
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed.memory_bytes > memory:
        found.append(
            shortage(
                file=folder,
                key="memory",
                value=in_words(memory),
                reason=f"preprocessing the largest case needs about {in_words(needed.memory_bytes)}",
                remedy="use a machine with more memory, or crop the images",
            )
        )
    return found
