"""Whether preprocessed data were made for the plans they are to be trained with."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.errors import DatasetError
from nnunetv2.preprocessing.resampling.new_shape import compute_new_shape
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.plans import resolve_configuration
from nnunetv2.storage.made_from import differing_settings, read_record, records_folder, settings_of, wrong_sizes
from nnunetv2.storage.stores import infer_dataset_class

logger = logging.getLogger(__name__)

# Cases without record are opened to compare shapes; so many tell whether a whole folder fits.
_CASES_OPENED = 5


def require_fitting_data(
    folder: str, plans: Mapping[str, Any], configuration: str, dataset_json: Mapping[str, Any], command: str
) -> None:
    """Raise DatasetError when cases in ``folder`` were made with other settings, or their files have another size.

    ``command`` is what repairs it.
    Only records are read, no images. Cases without a record (made by upstream) pass with one warning when shapes,
    spacing and channels of some of them fit the plans.
    """
    settings = settings_of(plans, configuration, dataset_json)
    cases = infer_dataset_class(folder).get_identifiers(folder)
    without, damaged, wrong = [], [], {}
    for case in cases:
        record = read_record(folder, case)
        if record is None:
            without.append(case)
        elif changed := wrong_sizes(folder, case, record):
            damaged += changed
        elif different := differing_settings(record["settings"], settings):
            wrong[case] = different
    if damaged:
        more = f"; and {len(damaged) - 5} more" if len(damaged) > 5 else ""
        raise DatasetError(
            f"{'; '.join(damaged[:5])}{more}. Make these cases again: {command}. If you changed them on purpose, "
            f"remove their records in {records_folder(folder)}"
        )
    if wrong:
        first, differences = next(iter(wrong.items()))
        raise DatasetError(
            f"{folder}: {len(wrong)} of {len(cases)} cases were preprocessed with other settings than configuration "
            f"{configuration} has now. Case {first}: {'; '.join(differences)}. Make them again: {command}"
        )
    if without:
        _require_fitting_shapes(folder, _spread(without), plans, configuration, dataset_json, command)
        logger.warning(
            "%s: %d of %d cases carry no record of what they were made from. Shapes, spacing and channels fit the "
            "plans, so they are used; whether normalization and labels do cannot be told. %s makes them again",
            folder, len(without), len(cases), command,
        )  # fmt: skip


def _spread(cases: Sequence[str]) -> list[str]:
    """A few of the cases, evenly spread."""
    step = max(1, len(cases) // _CASES_OPENED)
    return list(cases[::step][:_CASES_OPENED])


def _require_fitting_shapes(
    folder: str,
    cases: Sequence[str],
    plans: Mapping[str, Any],
    configuration: str,
    dataset_json: Mapping[str, Any],
    command: str,
) -> None:
    entries = resolve_configuration(plans, configuration)
    channels = DatasetJson.from_json(dataset_json).num_channels
    resampled = entries.get("resampling_fn_data") != "no_resampling_hack"
    dataset = infer_dataset_class(folder)(folder, cases)
    for case in cases:
        data, _, _, properties = dataset.load_case(case)
        found = tuple(int(n) for n in data.shape)
        if found[0] != channels:
            raise DatasetError(
                f"{folder}: case {case} has {found[0]} channels, dataset.json names {channels}. Make it again with "
                f"{command}"
            )
        if not resampled or not {"spacing", "shape_after_cropping_and_before_resampling"} <= properties.keys():
            continue
        spacing = [float(properties["spacing"][axis]) for axis in plans["transpose_forward"]]
        target = [float(value) for value in entries["spacing"]]
        target = [*spacing[: len(spacing) - len(target)], *target]
        expected = compute_new_shape(properties["shape_after_cropping_and_before_resampling"], spacing, target)
        if found[1:] != tuple(int(n) for n in expected):
            raise DatasetError(
                f"{folder}: case {case} has shape {found[1:]}, but spacing {target} of configuration {configuration} "
                f"asks for {tuple(int(n) for n in expected)}: it was preprocessed for something else. Make it again "
                f"with {command}"
            )
