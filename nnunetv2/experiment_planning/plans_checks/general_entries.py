"""The entries above ``configurations``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnunetv2.experiment_planning.plans_checks.named_things import defined_names, exists_below
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.values import is_integer, is_list_of, is_number, is_text, plain
from nnunetv2.records.findings import suggestion
from nnunetv2.records.plain_names import is_plain_name

STATISTICS = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
PER_CHANNEL = "foreground_intensity_properties_per_channel"
PER_MODALITY = "foreground_intensity_properties_by_modality"  # its name in very early plans

_FOLDERS = {"image_reader_writer": ("imageio",), "label_manager": ("utilities", "label_handling")}


def check_general_entries(
    plans: Mapping[str, Any], report: Report, plans_name: str | None = None, dataset_name: str | None = None
) -> None:
    """Names, axis order, classes, intensity statistics.

    ``plans_name`` and ``dataset_name`` are what the file must say about itself, because it is found by them.
    """
    _check_names(plans, report, plans_name, dataset_name)
    _check_axis_order(plans, report)
    for key, folder in _FOLDERS.items():
        check_named(plans.get(key), key, folder, report, required=key == "image_reader_writer")
    for key, test, kind in (
        ("original_median_spacing_after_transp", is_number, "numbers (mm)"),
        ("original_median_shape_after_transp", is_number, "numbers (voxels)"),
    ):
        if key in plans and not is_list_of(test, plans[key], 3):
            report.add(key, plans[key], f"it must be three {kind}", "Correct it, or plan again", "warning")
    _check_statistics(plans, report)


def check_named(
    name: Any, key: str, folder: tuple[str, ...], report: Report, required: bool = True, what: str = "class"
) -> None:
    """That ``name`` is a class (or function) below that folder of the package."""
    place = "nnunetv2/" + "/".join(folder)
    if name is None:
        if required:
            report.add_missing(key, f"it names a {what} in {place}", "Add it, or plan again")
    elif not is_text(name):
        report.add(key, name, f"it must be the name of a {what} in {place}", "Write the name as text")
    elif not exists_below(folder, name, what):
        report.add(
            key,
            name,
            f"{place} has no {what} of that name",
            f"{suggestion(name, defined_names(folder, what))} A {what} of your own goes into a file in that folder",
        )


def _check_names(plans: Mapping[str, Any], report: Report, plans_name: str | None, dataset_name: str | None) -> None:
    for key, expected, named in (
        ("dataset_name", dataset_name, "its folder"),
        ("plans_name", plans_name, "the file"),
    ):
        if key not in plans:
            report.add_missing(key, "folders are named by it", f'Add "{key}": "{expected or "NAME"}"')
        elif not is_text(plans[key]):
            report.add(key, plans[key], "it must be text, folders are named by it", "Write the name in quotes")
        elif not is_plain_name(plans[key]):
            report.add(key, plans[key], "folders are named by it, so it must have no separators", "Write a plain name")
        elif expected is not None and plans[key] != expected:
            report.add(
                key,
                plans[key],
                f"but {named} is called {expected}, so data and results would be looked for in the wrong place",
                f'Write "{expected}", or rename {named}',
            )


def _check_axis_order(plans: Mapping[str, Any], report: Report) -> None:
    orders = {}
    for key in ("transpose_forward", "transpose_backward"):
        value = plans.get(key)
        if value is None:
            report.add_missing(key, "it says in which order the image axes are used", f'Add "{key}": [0, 1, 2]')
        elif not is_list_of(is_integer, value) or sorted(plain(value)) != [0, 1, 2]:
            report.add(key, value, "it must hold 0, 1 and 2 in some order", "Use [0, 1, 2] to leave the axes alone")
        else:
            orders[key] = plain(value)
    if len(orders) == 2:
        forward, backward = orders.values()
        inverse = [forward.index(axis) for axis in range(3)]
        if backward != inverse:
            report.add(
                "transpose_backward",
                backward,
                f"it does not undo transpose_forward, which is {forward}",
                f"Write {inverse}",
            )


def _check_statistics(plans: Mapping[str, Any], report: Report) -> None:
    key = PER_CHANNEL if PER_CHANNEL in plans or PER_MODALITY not in plans else PER_MODALITY
    if key not in plans:
        report.add_missing(key, "normalization reads it", "Copy it from dataset_fingerprint.json, or plan again")
        return
    if not isinstance(plans[key], Mapping):
        report.add(key, plans[key], "it must map channel numbers to statistics", "Plan again")
        return
    for channel, statistics in plans[key].items():
        if not isinstance(statistics, Mapping):
            report.add(f"{key}.{channel}", statistics, "it must hold statistics of a channel", "Plan again")
            continue
        for name in STATISTICS:
            if name in statistics and not is_number(statistics[name]):
                report.add(
                    f"{key}.{channel}.{name}", statistics[name], "it must be a number", "Correct it, or plan again"
                )
