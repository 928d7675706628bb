"""Strides, kernels, features and depths of a U-Net from few numbers, by the rules of the planner."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.errors import UsageError
from nnunetv2.experiment_planning.experiment_planners.patch_and_batch import topology_of
from nnunetv2.experiment_planning.plans_checks.pooling import divisor_of, nearest_patch

# What the planner does not pool below, and what is tried when more stages are asked for than it would make.
MIN_FEATURE_MAP_SIZES = (4, 2, 1)
# The planner's limits on feature maps per stage, by dimensions.
MAX_FEATURES = {2: 512, 3: 320}

Steps = list[list[int]]


def strides_and_kernels(
    spacing: Sequence[float], patch_size: Sequence[int], num_stages: int | None = None
) -> tuple[Steps, Steps]:
    """Strides and kernel sizes of ``num_stages`` stages (None: as many as the planner makes).

    ``spacing`` in mm and ``patch_size`` in voxels have the same 2 or 3 axes. Axes are pooled in the planner's order,
    the finest first; the bottleneck has kernels of 3 along all. Raises UsageError when the patch is too small for so
    many stages.
    """
    deepest = 0
    for smallest in MIN_FEATURE_MAP_SIZES:
        topology = topology_of(spacing, patch_size, smallest)
        deepest = max(deepest, topology.num_stages)
        if num_stages is None or topology.num_stages >= num_stages:
            strides, kernels = topology.strides[:num_stages], topology.kernel_sizes[:num_stages]
            bottleneck = [3] * len(patch_size)
            return [list(s) for s in strides], [*(list(k) for k in kernels[:-1]), bottleneck]
    raise UsageError(
        f"{num_stages} stages are too many for a patch of {' x '.join(map(str, patch_size))} voxels: it can be halved "
        f"for {deepest} at most. Ask for fewer stages or a larger patch"
    )


def features_for(base: Sequence[int], num_stages: int, width: int | None, dimensions: int) -> list[int]:
    """Feature maps per stage. ``width``: those of the first stage, doubled per stage up to the limit.

    Without ``width`` the base's are cut, or continued by doubling. The limit is the planner's (512 in 2D, 320 in 3D),
    or the base's largest number where that is higher.
    """
    if not isinstance(base, (list, tuple)):
        raise UsageError(f"the base has {base!r} for the features of all stages; write a number for each stage")
    limit = max(MAX_FEATURES[dimensions], *base)
    if width is not None:
        return [min(width * 2**stage, max(limit, width)) for stage in range(num_stages)]
    features = list(base[:num_stages])
    while len(features) < num_stages:
        features.append(min(2 * features[-1], limit))
    return features


def depths_for(base: Sequence[int], num: int) -> list[int]:
    """Convolutions or blocks for ``num`` stages: the base's, cut or continued with its last number."""
    base = list(base) or [2]
    return [base[min(stage, len(base) - 1)] for stage in range(num)]


def require_divisible(patch_size: Sequence[int], strides: Sequence[Sequence[int]]) -> None:
    """Raise UsageError, naming the nearest patch, unless the strides divide ``patch_size``."""
    divisor = divisor_of(strides)
    if any(n % d for n, d in zip(patch_size, divisor, strict=True)):
        nearest = ",".join(map(str, nearest_patch(patch_size, divisor)))
        raise UsageError(
            f"the patch {','.join(map(str, patch_size))} is not divisible by {','.join(map(str, divisor))}, the "
            f"product of the strides of {len(strides)} stages. The nearest that is: --patch {nearest}; or ask for "
            "fewer --stages"
        )
