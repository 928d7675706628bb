"""The entries of one configuration, apart from its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nnunetv2.experiment_planning.plans_checks.general_entries import check_named
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration
from nnunetv2.experiment_planning.plans_checks.values import (
    is_list_of,
    is_number,
    is_positive_integer,
    is_positive_number,
    is_text,
    plain,
)
from nnunetv2.records.findings import suggestion
from nnunetv2.records.plain_names import is_plain_name

RESAMPLING_KINDS = ("data", "seg", "probabilities")

# Arguments of the two resampling functions that come with the package; others are not judged.
RESAMPLING_ARGUMENTS: dict[str, dict[str, tuple[Callable[[Any], bool], str]]] = {}


def _is_order(value: Any) -> bool:
    return value in (0, 1, 2, 3, 4, 5) and not isinstance(value, bool)


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_boolean_or_none(value: Any) -> bool:
    return value is None or isinstance(value, bool)


_BOOLEAN = (_is_boolean, "true or false")
_ORDER = (_is_order, "an integer from 0 to 5")
_SEPARATE = (_is_boolean_or_none, "true, false or null (by the anisotropy)")
RESAMPLING_ARGUMENTS["resample_data_or_seg_to_shape"] = {
    "is_seg": _BOOLEAN,
    "order": _ORDER,
    "order_z": _ORDER,
    "force_separate_z": _SEPARATE,
    "separate_z_anisotropy_threshold": (is_positive_number, "a number above 0"),
}


def check_configuration_entries(configuration: ResolvedConfiguration, report: Report) -> None:
    """Types, lengths and names of everything but the network."""
    _check_sizes(configuration, report)
    for key, test, reason, remedy in (
        ("batch_size", is_positive_integer, "it must be a positive integer", "Write the samples per step, such as 2"),
        ("batch_dice", _is_boolean, "it must be true or false", "Write true or false without quotes"),
    ):
        _check_value(configuration, key, test, reason, remedy, report)
    _check_identifier(configuration, report)
    _check_channels(configuration, report)
    name = configuration.entries.get("preprocessor_name")
    check_named(name, configuration.path("preprocessor_name"), ("preprocessing",), report)
    for kind in RESAMPLING_KINDS:
        _check_resampling(configuration, f"resampling_fn_{kind}", report)


def _check_value(
    configuration: ResolvedConfiguration,
    key: str,
    test: Callable[[Any], bool],
    reason: str,
    remedy: str,
    report: Report,
) -> None:
    if key not in configuration.entries:
        report.add_missing(configuration.path(key), f"{reason}, here or in what is inherited", remedy)
    elif not test(configuration.entries[key]):
        report.add(configuration.path(key), configuration.entries[key], reason, remedy)


def _check_sizes(configuration: ResolvedConfiguration, report: Report) -> None:
    entries = configuration.entries
    for key, test, kind, example in (
        ("patch_size", is_positive_integer, "positive integers (voxels)", "[96, 128, 128]"),
        ("spacing", is_positive_number, "positive numbers (mm)", "[3.0, 2.0, 2.0]"),
    ):
        reason = f"it must be a list of 2 or 3 {kind}, one per axis"
        _check_value(
            configuration, key, lambda v, test=test: is_list_of(test, v, (2, 3)), reason, f"Write {example}", report
        )
    patch, spacing = plain(entries.get("patch_size")), plain(entries.get("spacing"))
    both_lists = is_list_of(is_number, patch, (2, 3)) and is_list_of(is_number, spacing, (2, 3))
    if both_lists and len(patch) != len(spacing):
        report.add(
            configuration.path("spacing", "patch_size"),
            spacing,
            f"it has {len(spacing)} values, but patch_size {patch} has {len(patch)}; both follow the axes of the image",
            "Correct one of the two",
        )
    median = entries.get("median_image_size_in_voxels")
    if median is not None and not is_list_of(is_number, median, (2, 3)):
        report.add(
            configuration.path("median_image_size_in_voxels"),
            median,
            "it must be a list of numbers, one per axis",
            "Correct or remove it, it is for information",
            "warning",
        )


def _check_identifier(configuration: ResolvedConfiguration, report: Report) -> None:
    key = "data_identifier"
    reason = "it must be the name of a folder, that of the preprocessed cases"
    remedy = f'Write text without slashes, such as "nnUNetPlans_{configuration.name}"'
    _check_value(configuration, key, is_plain_name, reason, remedy, report)


def _check_channels(configuration: ResolvedConfiguration, report: Report) -> None:
    key = "normalization_schemes"
    reason, remedy = "it must be a list with one class name per channel", 'Write a list, such as ["CTNormalization"]'
    _check_value(configuration, key, lambda v: is_list_of(is_text, v) and len(v) > 0, reason, remedy, report)
    schemes = plain(configuration.entries.get(key))
    if is_list_of(is_text, schemes):
        for index, name in enumerate(schemes):
            check_named(name, f"{configuration.path(key)}[{index}]", ("preprocessing", "normalization"), report)
    key = "use_mask_for_norm"
    reason, remedy = "it must be a list with true or false per channel", "Write a list, such as [false]"
    _check_value(configuration, key, lambda v: is_list_of(_is_boolean, v) and len(v) > 0, reason, remedy, report)
    masks = plain(configuration.entries.get(key))
    if isinstance(schemes, list) and isinstance(masks, list) and len(schemes) != len(masks):
        report.add(
            configuration.path(key, "normalization_schemes"),
            masks,
            f"it has {len(masks)} entries, but normalization_schemes has {len(schemes)}; every channel needs one "
            "of each",
            "Give both the same length",
        )


def _check_resampling(configuration: ResolvedConfiguration, key: str, report: Report) -> None:
    name, kwargs_key = configuration.entries.get(key), f"{key}_kwargs"
    check_named(name, configuration.path(key), ("preprocessing", "resampling"), report, what="function")
    kwargs, path = configuration.entries.get(kwargs_key), configuration.path(kwargs_key)
    if not isinstance(kwargs, Mapping):
        reason, remedy = f"it must be an object with arguments of {key}", "Write {} for none"
        if kwargs is None and kwargs_key not in configuration.entries:
            report.add_missing(path, reason, remedy)
        else:
            report.add(path, kwargs, reason, remedy)
        return
    known = RESAMPLING_ARGUMENTS.get(name) if isinstance(name, str) else None
    for argument, value in kwargs.items() if known is not None else ():
        if argument not in known:
            reason, remedy = f"{name} has no such argument", suggestion(argument, known)
            report.add(f"{path}.{argument}", value, reason, remedy)
        elif not known[argument][0](value):
            kind = known[argument][1]
            report.add(f"{path}.{argument}", value, f"it must be {kind}", f"Write {kind}")
