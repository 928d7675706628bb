"""A configuration against the data set: channels, intensities, spacing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

from nnunetv2.errors import DatasetError
from nnunetv2.experiment_planning.plans_checks.general_entries import PER_CHANNEL, PER_MODALITY
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration
from nnunetv2.experiment_planning.plans_checks.values import (
    is_integer,
    is_list_of,
    is_positive_number,
    is_text,
    plain,
)
from nnunetv2.records.dataset_json import channel_names_of

# What CTNormalization reads of the intensity statistics.
CT_STATISTICS = ("percentile_00_5", "percentile_99_5", "mean", "std")

# A spacing further off than this is hardly meant: 4 is 64 times the voxels, or a 64th of them. The first stage of a
# cascade may be coarser, since the planner goes on until a patch covers a quarter of the image.
FAR = 4
FAR_FIRST_STAGE = 16
# Axes are confused when another order fits within SIMILAR, but the given one is off by more than CONFUSED.
SIMILAR = 1.5
CONFUSED = 2


def check_channels(configuration: ResolvedConfiguration, dataset_json: Mapping[str, Any], report: Report) -> None:
    """One normalization per channel, and the statistics that it needs. A broken dataset.json is reported by others."""
    try:
        names = list(channel_names_of(dataset_json).values())
    except DatasetError:
        return
    for key in ("normalization_schemes", "use_mask_for_norm"):
        value = plain(configuration.entries.get(key))
        if isinstance(value, list) and value and len(value) != len(names):
            report.add(
                configuration.path(key),
                value,
                f"it has {len(value)} entries, but dataset.json has {len(names)} channels ({', '.join(names)})",
                f"Give it {len(names)} entries, in the order of channel_names",
            )


def check_intensities(configuration: ResolvedConfiguration, plans: Mapping[str, Any], report: Report) -> None:
    """The statistics of each channel against what its normalization does with them."""
    schemes = plain(configuration.entries.get("normalization_schemes"))
    statistics = plans.get(PER_CHANNEL, plans.get(PER_MODALITY))
    if not is_list_of(is_text, schemes) or not isinstance(statistics, Mapping):
        return
    for channel, scheme in enumerate(schemes):
        own = statistics.get(str(channel), {})
        path = f"{PER_CHANNEL if PER_CHANNEL in plans else PER_MODALITY}.{channel}"
        if scheme == "CTNormalization" and isinstance(own, Mapping):
            _check_ct(own, path, channel, report)
        outside = [own[key] for key in ("min", "max") if isinstance(own, Mapping) and key in own]
        if scheme == "RGBTo01Normalization" and any(
            isinstance(value, (int, float)) and not 0 <= value <= 255 for value in outside
        ):
            report.add(
                f"{configuration.path('normalization_schemes')}[{channel}]",
                scheme,
                f"it takes colours from 0 to 255, but channel {channel} has intensities of {outside[0]:g} to "
                f"{outside[-1]:g}",
                "Use another scheme, such as ZScoreNormalization or RescaleTo01Normalization",
            )


def _check_ct(statistics: Mapping[str, Any], path: str, channel: int, report: Report) -> None:
    missing = [key for key in CT_STATISTICS if key not in statistics]
    remedy = "Copy the statistics from dataset_fingerprint.json, or use another scheme for this channel"
    for key in missing:
        report.add_missing(f"{path}.{key}", f"CTNormalization of channel {channel} needs it", remedy)
    if missing or not all(isinstance(statistics[key], (int, float)) for key in CT_STATISTICS):
        return
    low, high = statistics["percentile_00_5"], statistics["percentile_99_5"]
    if low >= high:
        reason = f"it is not below percentile_99_5, {high:g}, so clipping leaves one value"
        report.add(f"{path}.percentile_00_5", low, reason, "Correct the clipping range")
    if statistics["std"] <= 0:
        reason = "intensities are divided by it"
        report.add(f"{path}.std", statistics["std"], reason, "Write the standard deviation of the foreground")


def check_spacing(
    configuration: ResolvedConfiguration,
    plans: Mapping[str, Any],
    fingerprint: Mapping[str, Any] | None,
    report: Report,
) -> None:
    """The target spacing against those of the cases (of the plans' median without a fingerprint)."""
    target = plain(configuration.entries.get("spacing"))
    ranges = _spacing_ranges(plans, fingerprint)
    if ranges is None or not is_list_of(is_positive_number, target, (2, 3)):
        return
    ranges = ranges[3 - len(target) :]
    first_stage = configuration.entries.get("next_stage") is not None
    far = FAR_FIRST_STAGE if first_stage else FAR
    path = configuration.path("spacing")
    if not first_stage and (order := _better_order(target, [(low * high) ** 0.5 for low, high in ranges])):
        shown = ", ".join(f"{(low * high) ** 0.5:.3g}" for low, high in ranges)
        report.add(
            path,
            target,
            f"the cases have about {shown} mm in the axis order of the plans; this looks like another order",
            f"Write {order}, or ignore this if it is meant",
            "warning",
        )
        return
    finest = min(low for low, _ in ranges)
    for axis, (value, (low, high)) in enumerate(zip(target, ranges)):
        # Thick slices may get a spacing close to that within the slices.
        if value > far * high or (value < low / FAR and value < finest / SIMILAR):
            what = "coarser" if value > high else "finer"
            report.add(
                path,
                target,
                f"along axis {axis} it is more than {far if what == 'coarser' else FAR} times {what} than the cases, "
                f"which have {low:.3g} to {high:.3g} mm",
                "Check unit (mm) and axis order, or ignore this if it is meant",
                "warning",
            )


def _spacing_ranges(
    plans: Mapping[str, Any], fingerprint: Mapping[str, Any] | None
) -> list[tuple[float, float]] | None:
    """Smallest and largest spacing per axis, in the axis order of the plans."""
    forward = plain(plans.get("transpose_forward"))
    spacings = plain(fingerprint.get("spacings")) if fingerprint else None
    right_order = is_list_of(is_integer, forward) and sorted(forward) == [0, 1, 2]
    if right_order and spacings and is_list_of(lambda s: is_list_of(is_positive_number, s, 3), spacings):
        columns = [[case[axis] for case in spacings] for axis in forward]
        return [(min(column), max(column)) for column in columns]
    median = plain(plans.get("original_median_spacing_after_transp"))
    return [(value, value) for value in median] if is_list_of(is_positive_number, median, 3) else None


def _better_order(target: Sequence[float], typical: Sequence[float]) -> list[float] | None:
    """``target`` in the order that fits ``typical`` well, if its own order fits badly."""

    def worst(values: Sequence[float]) -> float:
        return max(max(value / usual, usual / value) for value, usual in zip(values, typical))

    best = min(permutations(target), key=worst)
    return list(best) if worst(target) > CONFUSED and worst(best) <= SIMILAR else None
