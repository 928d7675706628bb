"""How a case fits into limited memory: arithmetic from sizes, done before the case starts.

Host is main memory, device is that of the GPU; on a CPU everything is on the host. Sizes are in bytes; the terms are
those of ``documentation/predicting.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from nnunetv2.errors import MemoryLimitError

GIB = 2**30

# Copies of a label map while it is written: the map, the array in the type of the file, and the image library's own.
_LABEL_COPIES = 3
# Arrays of one channel of a run of output slices, float32, that resampling and comparing hold.
_ARRAYS_PER_RUN = 6
# Feature maps of the first stage that are there at the same time: input, output, normalized, skip, and a concatenation.
_FIRST_STAGE_MAPS = 6
# Arrays of the size of the image while it is preprocessed: as read, as float32, and cropped or normalized.
_PREPROCESSING_COPIES = 3


@dataclass(frozen=True, kw_only=True)
class CaseSizes:
    """What decides about the memory of a case; shapes are transposed (Z, Y, X)."""

    channels: int
    heads: int
    folds: int
    network_shape: Sequence[int]
    """In network space, padded to the patch."""
    window: int
    """Slices for which sums are held: the thickness of a tile."""
    cropped_shape: Sequence[int]
    image_shape: Sequence[int]
    label_bytes: int = 1
    sum_bytes: int = 2
    probabilities_in_memory: bool = False
    image_in_memory: bool = True
    """False when the image is read and resampled piece by piece (out of core)."""
    labels_may_go_to_disk: bool = False


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is allowed, and what is in use already. None means no limit."""

    host: int | None = None
    device: int | None = None
    host_in_use: int = 0
    device_in_use: int = 0
    network: int = 0
    """Of one call of the network."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Settings that fit, and what they are expected to take in all."""

    sums_on_device: bool
    slices_per_slab: int
    label_threads: int
    labels_on_disk: bool
    host: int
    device: int


def plan_case(
    sizes: CaseSizes, limits: Limits, *, has_device: bool, wants_device: bool, slices_per_slab: int, label_threads: int
) -> MemoryPlan:
    """The fastest settings within the limits: sums on the device if wanted, then large slabs, then many threads.

    ``slices_per_slab`` and ``label_threads`` are those without limits. Raises MemoryLimitError with figures when not
    even the smallest settings fit.
    """
    smallest: MemoryPlan | None = None
    for on_device in (True, False) if wants_device else (False,):
        for slab, threads, on_disk in _settings(slices_per_slab, label_threads, sizes.labels_may_go_to_disk):
            host, device = _bytes(sizes, limits, has_device, on_device, slab, threads, on_disk)
            plan = MemoryPlan(
                sums_on_device=on_device,
                slices_per_slab=slab,
                label_threads=threads,
                labels_on_disk=on_disk,
                host=host,
                device=device,
            )
            if _within(host, limits.host) and _within(device, limits.device):
                return plan
            smallest = plan
    raise MemoryLimitError(_explanation(sizes, limits, smallest))


def _settings(slab: int, threads: int, disk: bool) -> Iterator[tuple[int, int, bool]]:
    """Slices per slab, threads, labels on disk: from fast to small."""
    yield slab, threads, False
    while slab > 1:
        slab //= 2
        yield slab, threads, False
    if threads > 1:
        yield 1, 1, False
    if disk:
        yield 1, 1, True


def _within(needed: int, limit: int | None) -> bool:
    return limit is None or needed <= limit


def parts(sizes: CaseSizes, slab: int, threads: int, on_disk: bool) -> dict[str, int]:
    """Bytes of each part of a case."""
    plane = prod(sizes.network_shape[1:])
    slices = sizes.network_shape[0] if sizes.image_in_memory else min(sizes.network_shape[0], 2 * sizes.window)
    # Output slices of one run need these slices of logits, and a slab more may wait.
    held = slab + 2 + sizes.network_shape[0] // max(1, sizes.cropped_shape[0])
    run = max(prod(sizes.cropped_shape[1:]), 1 << 18)
    labels = prod(sizes.image_shape) * sizes.label_bytes
    return {
        "image in network space": 4 * sizes.channels * plane * slices,
        "sums over tiles": (sizes.folds * sizes.heads + 1) * sizes.window * plane * sizes.sum_bytes,
        "finished logits": sizes.heads * held * plane * sizes.sum_bytes,
        "resampling": 4 * _ARRAYS_PER_RUN * run * threads,
        "label map": 0 if on_disk else _LABEL_COPIES * labels,
        "probabilities": 4 * sizes.heads * prod(sizes.image_shape) if sizes.probabilities_in_memory else 0,
    }


def _bytes(
    sizes: CaseSizes, limits: Limits, has_device: bool, on_device: bool, slab: int, threads: int, on_disk: bool
) -> tuple[int, int]:
    """Host and device."""
    part = parts(sizes, slab, threads, on_disk)
    movable = part["sums over tiles"] + part["finished logits"] + part["resampling"]
    host = limits.host_in_use + part["image in network space"] + part["label map"] + part["probabilities"]
    device = limits.device_in_use
    if has_device:
        device += limits.network
    else:
        host += limits.network
    if on_device:
        device += movable + part["image in network space"]
    else:
        host += movable
    return host, device


def _explanation(sizes: CaseSizes, limits: Limits, plan: MemoryPlan) -> str:
    part = parts(sizes, plan.slices_per_slab, plan.label_threads, plan.labels_on_disk)
    listed = ", ".join(f"{name} {_gib(size)}" for name, size in part.items() if size)
    exceeded = []
    if not _within(plan.host, limits.host):
        exceeded.append(f"{_gib(plan.host)} of main memory, --max-memory allows {_gib(limits.host)}")
    if not _within(plan.device, limits.device):
        exceeded.append(f"{_gib(plan.device)} of the device, --max-device-memory allows {_gib(limits.device)}")
    return (
        f"a case of {tuple(sizes.image_shape)} voxels ({tuple(sizes.network_shape)} for the network) with "
        f"{sizes.heads} classes and {sizes.folds} folds needs at least {'; and '.join(exceeded)}. In use before: "
        f"{_gib(limits.host_in_use)}; the network: {_gib(limits.network)}; {listed}. Allow more, or use fewer folds"
    )


def _gib(size: int | None) -> str:
    return f"{(size or 0) / GIB:.2f} GiB"


def network_bytes(patch_size: Sequence[int], first_features: int, tiles: int = 1) -> int:
    """Estimate for one call: feature maps of the first stage (float32), which are the largest."""
    return 4 * _FIRST_STAGE_MAPS * first_features * prod(patch_size) * tiles


def preprocessing_bytes(channels: int, image_voxels: int) -> int:
    """What preprocessing one case in memory takes at its peak."""
    return 4 * _PREPROCESSING_COPIES * channels * image_voxels


def cases_that_fit(free: int, bytes_per_case: int, wanted: int) -> int:
    """How many of ``wanted`` cases may be prepared or exported beside the one that is predicted."""
    return max(0, min(wanted, free // max(1, bytes_per_case)))
