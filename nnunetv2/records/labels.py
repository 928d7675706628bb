"""The labels of a data set, as integers: which there are, which is ignored, which regions they form.

dataset.json may give label values as numbers or as text ("1"); regions are lists of label values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from nnunetv2.errors import LabelsError

Region = int | tuple[int, ...]

HIGHEST_LABEL = 65535
"""Label maps are written as uint8 or uint16."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Label values of a data set, checked and normalised to plain integers."""

    all_labels: tuple[int, ...]
    """Every label value in ascending order, background (0) included, the ignore label left out."""
    regions: tuple[Region, ...] | None
    """The foreground regions in the order of dataset.json; None unless training is region based."""
    ignore_label: int | None
    """Value of voxels that are neither trained on nor evaluated; no label has it."""

    @property
    def foreground(self) -> tuple[int, ...]:
        """All labels without background and ignore label."""
        return tuple(label for label in self.all_labels if label != 0)

    @classmethod
    def from_json(
        cls,
        labels: Mapping[str, Any],
        regions_class_order: Sequence[int] | None = None,
        force_use_labels: bool = False,
        source: str = "dataset.json",
    ) -> Labels:
        """Read the ``labels`` entry. ``force_use_labels`` reads regions as plain labels. Raises LabelsError."""
        values = {name: _integers(value, f"{source}: labels.{name}") for name, value in labels.items()}
        _check_background(values.get("background"), source)
        ignore = values.get("ignore")
        if ignore is not None and not isinstance(ignore, int):
            raise LabelsError(f"{source}: labels.ignore is {labels['ignore']!r}; it must be one integer")
        named = {name: value for name, value in values.items() if name != "ignore"}
        flat = {v for value in named.values() for v in ([value] if isinstance(value, int) else value)}
        all_labels = tuple(sorted(flat))
        if ignore in flat:
            raise LabelsError(
                f"{source}: labels.ignore is {ignore}, which is a label, too; it must be a value of its own, such as "
                f"{max(all_labels) + 1}"
            )
        order = None if regions_class_order is None else _order(regions_class_order, source)
        _check_range(
            {**{f"labels.{name}": v for name, v in values.items()}, "regions_class_order": order or ()}, source
        )
        has_regions = not force_use_labels and any(not isinstance(v, int) and len(v) > 1 for v in values.values())
        regions = None
        if has_regions:
            regions = tuple(value for value in named.values() if not _is_background(value))
            _check_regions_class_order(regions, order, source)
        return cls(all_labels=all_labels, regions=regions, ignore_label=ignore)


def _integers(value: Any, where: str) -> Region:
    """One label value, or a tuple of them, as plain integers."""
    try:
        if isinstance(value, (list, tuple)):
            return tuple(int(v) for v in value)
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise LabelsError(f"{where} is {value!r}; it must be an integer or a list of integers") from error


def _is_background(region: Region) -> bool:
    return region == 0 if isinstance(region, int) else all(label == 0 for label in region)


def _check_background(background: Region | None, source: str) -> None:
    if background is None:
        raise LabelsError(f'{source}: labels has no "background"; add "background": 0')
    if not isinstance(background, int):
        raise LabelsError(f"{source}: labels.background is the list {list(background)}; it must be the integer 0")
    if background != 0:
        raise LabelsError(f"{source}: labels.background is {background}; it must be 0")


def _check_range(values: Mapping[str, Region], source: str) -> None:
    """Raise LabelsError for values that no label map can hold."""
    for key, value in values.items():
        for label in [value] if isinstance(value, int) else value:
            if not 0 <= label <= HIGHEST_LABEL:
                raise LabelsError(
                    f"{source}: {key} has the value {label}; labels are integers from 0 to {HIGHEST_LABEL}. Renumber "
                    "it in dataset.json and in the label maps"
                )


def _order(order: Any, source: str) -> tuple[int, ...]:
    values = _integers(order, f"{source}: regions_class_order") if isinstance(order, (list, tuple)) else order
    if not isinstance(values, tuple):
        raise LabelsError(f"{source}: regions_class_order is {order!r}; it must be a list of label values")
    return values


def _check_regions_class_order(regions: Sequence[Region], order: Sequence[int] | None, source: str) -> None:
    if order is None:
        raise LabelsError(
            f"{source}: labels has regions (lists of several values), so regions_class_order is needed: the label to "
            f"write for each of the {len(regions)} regions, in their order"
        )
    if len(order) != len(regions):
        raise LabelsError(
            f"{source}: regions_class_order has {len(order)} entries for {len(regions)} regions without background"
        )


def require_visible_regions(
    labels: Mapping[str, Any], regions_class_order: Sequence[int] | None, source: str = "dataset.json"
) -> None:
    """Raise LabelsError when a region could never be seen in a label map.

    Regions are written one over the other. One that lies inside a region written after it leaves no voxel behind.
    """
    regions = Labels.from_json(labels, regions_class_order, source=source).regions
    if regions is None or regions_class_order is None:
        return
    values = {name: _integers(value, name) for name, value in labels.items() if name != "ignore"}
    names = [name for name, value in values.items() if not _is_background(value)]
    parts = [{region} if isinstance(region, int) else set(region) for region in regions]
    for first, later in combinations(range(len(parts)), 2):
        if parts[first] <= parts[later] and int(regions_class_order[first]) != int(regions_class_order[later]):
            raise LabelsError(
                f"{source}: labels.{names[first]} {sorted(parts[first])} lies inside labels.{names[later]} "
                f"{sorted(parts[later])}, which is written after it, so {names[first]} would never be seen in a "
                "prediction. Put larger regions before those inside them, in labels and in regions_class_order alike"
            )
