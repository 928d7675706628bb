"""Strides and kernels against patch size and spacing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from nnunetv2.experiment_planning.plans_checks.network_entries import dimensions_of
from nnunetv2.experiment_planning.plans_checks.network_view import NetworkView
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.values import (
    is_list_of,
    is_positive_integer,
    is_positive_number,
    plain,
)

# Pooling an axis that is this much coarser than another one, which could be pooled as well, wastes resolution. The
# planner keeps below 2; hand-made networks often pool all axes alike, which is fine for nearly isotropic voxels.
COARSER_THAN_OTHERS = 3
# Axes shorter than this are too short to be pooled, so a coarser one may go first.
WORTH_POOLING = 8

Steps = list[list[int]]


def check_pooling(network: NetworkView, report: Report) -> None:
    """Divisibility for any network with strides; for U-Nets also first stride, kernels, sizes and anisotropy."""
    dimensions = dimensions_of(network)
    strides = None if dimensions is None else per_axis(network.arch_kwargs.get("strides"), dimensions)
    if strides is None:
        return
    patch = list(plain(network.configuration.entries["patch_size"]))
    divisible = _check_divisible(network, patch, strides, report)
    if not network.is_unet:
        return
    if any(step != 1 for step in strides[0]):
        report.add(
            f"{network.path('strides')}[0]",
            strides[0],
            "the first stage works at full resolution, the output would be smaller than the patch",
            f"Write {[1] * len(patch)}",
        )
    _check_kernels(network, report)
    if divisible:
        _check_sizes(network, patch, strides, report)
        _check_anisotropy(network, patch, strides, report)


def per_axis(value: object, dimensions: int) -> Steps | None:
    """One list of numbers per stage, single numbers repeated for all axes; None when it is something else."""
    value = plain(value)
    if not isinstance(value, list) or not value:
        return None
    steps = [[step] * dimensions if is_positive_integer(step) else plain(step) for step in value]
    return steps if all(is_list_of(is_positive_integer, step, dimensions) for step in steps) else None


def divisor_of(strides: Sequence[Sequence[int]]) -> list[int]:
    """What each axis of the patch must be divisible by."""
    return [prod(stride[axis] for stride in strides) for axis in range(len(strides[0]))]


def nearest_patch(patch_size: Sequence[int], divisor: Sequence[int]) -> list[int]:
    """The closest sizes that are multiples of ``divisor``."""
    return [max(d, round(n / d) * d) for n, d in zip(patch_size, divisor, strict=True)]


def _check_divisible(network: NetworkView, patch: list[int], strides: Steps, report: Report) -> bool:
    divisor = divisor_of(strides)
    if not any(n % d for n, d in zip(patch, divisor, strict=True)):
        return True
    report.add(
        network.configuration.path("patch_size", network.entry("strides")),
        patch,
        f"it is not divisible by the product of the strides, {divisor}, so feature maps would not fit together",
        f"The nearest patch that is: {nearest_patch(patch, divisor)}",
    )
    return False


def _check_kernels(network: NetworkView, report: Report) -> None:
    dimensions = dimensions_of(network) or 3
    for stage, kernel in enumerate(per_axis(network.arch_kwargs.get("kernel_sizes"), dimensions) or ()):
        if any(size % 2 == 0 for size in kernel):
            odd = [size + 1 - size % 2 for size in kernel]
            report.add(
                f"{network.path('kernel_sizes')}[{stage}]",
                kernel,
                "even kernels shrink the feature maps, which then do not fit together",
                f"Write odd numbers, such as {odd}",
            )


def _check_sizes(network: NetworkView, patch: list[int], strides: Steps, report: Report) -> None:
    smallest = [n // d for n, d in zip(patch, divisor_of(strides), strict=True)]
    key = network.configuration.path("patch_size", network.entry("strides"))
    if prod(smallest) == 1:
        report.add(
            key,
            patch,
            f"after {len(strides)} stages a single voxel is left, which cannot be normalized in training",
            "Use a larger patch or fewer stages",
        )
        return
    for axis, size in enumerate(smallest):
        if size == 1 and patch[axis] > 1:
            report.add(
                key,
                patch,
                f"axis {axis} is pooled down to one voxel, where convolutions along it only see padding",
                f"Use a larger patch, or strides of 1 along axis {axis} in the last stages",
                "warning",
            )


def _check_anisotropy(network: NetworkView, patch: list[int], strides: Steps, report: Report) -> None:
    spacing = plain(network.configuration.entries.get("spacing"))
    if not is_list_of(is_positive_number, spacing, len(patch)):
        return
    sizes, spacings = list(patch), [float(s) for s in spacing]
    for stage, stride in enumerate(strides):
        finest = min((s for s, n in zip(spacings, sizes) if n >= WORTH_POOLING), default=max(spacings))
        for axis, step in enumerate(stride):
            if step > 1 and spacings[axis] >= COARSER_THAN_OTHERS * finest:
                report.add(
                    f"{network.path('strides', 'spacing')}[{stage}]",
                    stride,
                    f"it pools axis {axis}, {spacings[axis]:g} mm there, while another axis is still at {finest:g} mm",
                    f"Pool the fine axes first: write 1 for axis {axis} here, or let nnUNetv2_plans derive "
                    "choose strides",
                    "warning",
                )
        sizes = [n // step for n, step in zip(sizes, stride)]
        spacings = [s * step for s, step in zip(spacings, stride)]
