"""The memory plan of one case of one predictor: where sizes and what is in use come from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import torch

from nnunetv2.imageio.nifti_header import is_nifti_name
from nnunetv2.inference.limits.memory_plan import (
    GIB,
    CaseSizes,
    Limits,
    MemoryPlan,
    cases_that_fit,
    network_bytes,
    plan_case,
    preprocessing_bytes,
)
from nnunetv2.inference.streaming.labels_from_logits import label_dtype
from nnunetv2.inference.streaming.logit_slabs import window_length

if TYPE_CHECKING:
    from nnunetv2.inference.logits_predictor import LogitsPredictor

# Finished logits are handed on in pieces of about so many bytes.
_BYTES_PER_SLAB = 1 << 24
_DEFAULT_FEATURES = 32


def plan_for(
    predictor: LogitsPredictor,
    padded_size: Sequence[int],
    properties: Mapping[str, Any],
    *,
    probabilities_in_memory: bool,
    image_in_memory: bool,
    labels_may_go_to_disk: bool,
) -> MemoryPlan:
    """Settings for a case that is about to start. Raises MemoryLimitError."""
    label_manager = predictor.label_manager
    heads = label_manager.num_segmentation_heads
    sum_bytes = torch.finfo(predictor._sums_dtype()).bits // 8
    sizes = CaseSizes(
        channels=_input_channels(predictor),
        heads=heads,
        folds=len(predictor._folds()),
        network_shape=tuple(padded_size),
        window=window_length(predictor._internal_get_sliding_window_slicers(padded_size)),
        cropped_shape=tuple(properties["shape_after_cropping_and_before_resampling"]),
        image_shape=tuple(properties["shape_before_cropping"]),
        label_bytes=label_dtype(label_manager)(0).nbytes,
        sum_bytes=sum_bytes,
        probabilities_in_memory=probabilities_in_memory,
        image_in_memory=image_in_memory,
        labels_may_go_to_disk=labels_may_go_to_disk,
    )
    return plan_case(
        sizes,
        limits_of(predictor),
        has_device=predictor.device.type != "cpu",
        wants_device=predictor.perform_everything_on_device,
        slices_per_slab=max(1, _BYTES_PER_SLAB // (heads * prod(padded_size[1:]) * sum_bytes)),
        label_threads=torch.get_num_threads(),
    )


def limits_of(predictor: LogitsPredictor) -> Limits:
    """The predictor's limits, and what is in use now."""
    configuration = predictor.configuration_manager
    features = configuration.network_arch_init_kwargs.get("features_per_stage") or [_DEFAULT_FEATURES]
    on_cuda = predictor.device.type == "cuda"
    return Limits(
        host=_bytes(predictor.max_memory),
        device=_bytes(predictor.max_device_memory),
        host_in_use=resident_bytes(),
        device_in_use=torch.cuda.memory_allocated(predictor.device) if on_cuda else 0,
        network=network_bytes(configuration.patch_size, features[0], predictor.tiles_per_call),
    )


def _bytes(gib: float | None) -> int | None:
    return None if gib is None else int(gib * GIB)


def threads_that_fit(
    predictor: LogitsPredictor, cases: Sequence[Sequence[str]], preprocessing: int, export: int
) -> tuple[int, int]:
    """How many threads may prepare and export cases beside the prediction: as wanted, or fewer under ``max_memory``."""
    if predictor.max_memory is None or not cases:
        return preprocessing, export
    sizes = [voxels for files in cases if (voxels := voxels_of(files)) is not None]
    if len(sizes) < len(cases):
        return 0, 0  # nothing is known about some of them
    limits = limits_of(predictor)
    # The case that is predicted is counted like one that is prepared: its input, label map and sums are no larger.
    largest = max(preprocessing_bytes(len(files), voxels) for files, voxels in zip(cases, sizes))
    free = (limits.host or 0) - limits.host_in_use - limits.network - largest
    threads = cases_that_fit(free, largest, preprocessing)
    return threads, cases_that_fit(free - threads * largest, 3 * max(sizes), export)


def fits_whole(predictor: LogitsPredictor, channels: int, voxels: int | None) -> bool:
    """Whether a case may be read and preprocessed in memory; True where nothing is known or limited."""
    if predictor.max_memory is None or voxels is None:
        return True
    limits = limits_of(predictor)
    return limits.host_in_use + preprocessing_bytes(channels, voxels) <= (limits.host or 0)


def voxels_of(files: Sequence[str]) -> int | None:
    """Voxels per channel according to the header of the first file; None when that is no 3D NIfTI file."""
    if not is_nifti_name(files[0]) or not os.path.isfile(files[0]):
        return None
    from nnunetv2.imageio.nifti_slices import image_shape

    shape = image_shape(files[0])
    return None if shape is None else prod(shape)


def resident_bytes() -> int:
    """Memory this process has in use; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _input_channels(predictor: LogitsPredictor) -> int:
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

    return determine_num_input_channels(
        predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
    )
