"""The largest patch and batch that fit a memory target: start from a cube in mm, shrink until the estimate fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from nnunetv2.errors import PlanningError
from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

# Voxels of the patch that shrinking starts from: a cube of 256 voxels in 3D, a square of 2048 pixels in 2D.
INITIAL_PATCH_VOXELS = {3: 256**3, 2: 2048**2}
NO_POOLING_LIMIT = 999999


@dataclass(frozen=True, kw_only=True)
class Topology:
    """Patch size and the pooling that goes with it."""

    patch_size: tuple[int, ...]
    """Voxels per axis, multiples of ``divisor``."""
    strides: tuple[tuple[int, ...], ...]
    """One per stage; the first is all 1."""
    kernel_sizes: tuple[tuple[int, ...], ...]
    """One per stage."""
    divisor: tuple[int, ...]
    """What each axis must be divisible by."""

    @property
    def num_stages(self) -> int:
        """Resolutions of the network, the bottleneck included."""
        return len(self.strides)


def topology_of(spacing: Sequence[float], patch_size: Sequence[float], min_feature_map_size: int) -> Topology:
    """Topology for ``patch_size``, whose axes are rounded up to what the pooling needs."""
    _, strides, kernels, patch, divisor = get_pool_and_conv_props(
        spacing, patch_size, min_feature_map_size, NO_POOLING_LIMIT
    )
    return Topology(
        patch_size=tuple(int(n) for n in patch),
        strides=strides,
        kernel_sizes=kernels,
        divisor=tuple(int(n) for n in divisor),
    )


def initial_patch_size(spacing: Sequence[float], median_shape: Sequence[float]) -> list[float]:
    """A patch of equal extent in mm along all axes, cut down to the median image (then possibly fractions).

    ``spacing`` in mm and ``median_shape`` in voxels have 2 or 3 entries in the same order.
    """
    density = 1 / np.array(spacing)
    dimensions = len(spacing)
    wanted = density * (INITIAL_PATCH_VOXELS[dimensions] / np.prod(density)) ** (1 / dimensions)
    return [min(round(size), limit) for size, limit in zip(wanted, median_shape)]


def shrink_to_fit(
    spacing: Sequence[float],
    median_shape: Sequence[float],
    start: Topology,
    min_feature_map_size: int,
    estimate: Callable[[Topology], float],
    fits: Callable[[float], bool],
) -> tuple[Topology, float]:
    """Shrink the patch of ``start`` step by step until ``fits(estimate(topology))``; returns both.

    Each step shortens the axis that covers the largest part of the median image. Raises PlanningError when nothing
    can be shortened any more.
    """
    topology, memory = start, estimate(start)
    visited = {start}
    while not fits(memory):
        smaller = next(
            (t for t in _one_step_smaller(spacing, median_shape, topology, min_feature_map_size) if t not in visited),
            None,
        )
        if smaller is None:
            raise PlanningError(
                f"No patch is small enough for the memory target: even {topology.patch_size} voxels at spacing "
                f"{[float(s) for s in spacing]} mm need an estimated {memory:.4g} feature map values. "
                "Raise -gpu_memory_target, or check the spacing of the data set"
            )
        visited.add(smaller)
        topology, memory = smaller, estimate(smaller)
    return topology, memory


def _one_step_smaller(
    spacing: Sequence[float], median_shape: Sequence[float], topology: Topology, min_feature_map_size: int
) -> Iterator[Topology]:
    """Topologies with one axis shortened, best choice of axis first.

    The step is the divisor the axis would have after losing its present one: a shorter axis may be pooled less often.
    """
    patch = topology.patch_size
    covered = [size / whole for size, whole in zip(patch, median_shape)]
    # NOTE among axes of equal coverage the last one goes first, so square images get patches that are not square.
    for axis in sorted(range(len(patch)), key=lambda a: (covered[a], a), reverse=True):
        trial = _shortened(patch, axis, topology.divisor[axis])
        step = topology_of(spacing, trial, min_feature_map_size).divisor[axis]
        if patch[axis] > step:
            yield topology_of(spacing, _shortened(patch, axis, step), min_feature_map_size)


def _shortened(patch: Sequence[int], axis: int, step: int) -> list[int]:
    return [size - step if a == axis else size for a, size in enumerate(patch)]


def batch_size(
    memory: float,
    memory_reference: float,
    batch_reference: int,
    patch_size: Sequence[int],
    voxels_in_dataset: float,
    max_dataset_covered: float,
    minimum: int,
) -> int:
    """Samples per batch: as many as the memory allows, but only ``max_dataset_covered`` of the data set's voxels.

    ``memory_reference`` is the estimate for which ``batch_reference`` samples fit. At least ``minimum``.
    """
    by_memory = round((memory_reference / memory) * batch_reference)
    by_dataset = round(voxels_in_dataset * max_dataset_covered / np.prod(patch_size, dtype=np.float64))
    return max(min(by_memory, by_dataset), minimum)
