"""Two plans, or two configurations, compared by what they mean."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import isfile
from typing import Any

from nnunetv2.experiment_planning.plans_checks.general_entries import PER_CHANNEL, PER_MODALITY
from nnunetv2.experiment_planning.plans_checks.report import VALUE_LENGTH
from nnunetv2.experiment_planning.plans_editing.documents import DEFAULT_PLANS, load_plans
from nnunetv2.records.findings import value_text
from nnunetv2.records.plans import LEGACY_KEYS, resolve_configuration, upgrade_configuration

ABSENT = "absent"


@dataclass(frozen=True)
class Difference:
    """An entry that is not the same on both sides; values as JSON text, ``absent`` where there is none."""

    key: str
    first: str
    second: str

    def __str__(self) -> str:
        return f"{self.key}: {self.first} -> {self.second}"


def compare(first: str, second: str, plans_name: str = DEFAULT_PLANS) -> list[Difference]:
    """Differences between two plans (``FILE`` or a data set) or configurations (``FILE:CONFIGURATION``).

    Inheritance is resolved and the layout before v2.3 translated, so only what has an effect counts. Raises what
    reading the files raises, and PlansError for an unknown configuration.
    """
    one, other = (_meaning(side, plans_name) for side in (first, second))
    return list(differences(one, other))


def meaning_of_configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The configuration as it takes effect, in the current layout."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        resolved = resolve_configuration(plans, name)
        if "architecture" in resolved or any(key in resolved for key in LEGACY_KEYS):
            upgrade_configuration(resolved)
    return {key: value for key, value in resolved.items() if key not in ("inherits_from", *LEGACY_KEYS)}


def meaning_of_plans(plans: Mapping[str, Any]) -> dict[str, Any]:
    """All of it, configurations as they take effect."""
    general = {key: copy.deepcopy(value) for key, value in plans.items() if key != "configurations"}
    if PER_MODALITY in general:
        general.setdefault(PER_CHANNEL, general.pop(PER_MODALITY))
    return general | {
        "configurations": {name: meaning_of_configuration(plans, name) for name in plans["configurations"]}
    }


def differences(first: Any, second: Any, key: str = "") -> Iterator[Difference]:
    """Entries in which two contents differ; objects are compared key by key, everything else as a whole."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in [*first, *(name for name in second if name not in first)]:
            path = f"{key}.{name}" if key else name
            if name not in second:
                yield Difference(path, value_text(first[name], VALUE_LENGTH), ABSENT)
            elif name not in first:
                yield Difference(path, ABSENT, value_text(second[name], VALUE_LENGTH))
            else:
                yield from differences(first[name], second[name], path)
    elif first != second:
        yield Difference(key, value_text(first, VALUE_LENGTH), value_text(second, VALUE_LENGTH))


def _meaning(side: str, plans_name: str) -> dict[str, Any]:
    file, colon, name = (side, "", "") if isfile(side) else side.rpartition(":")
    plans = load_plans(file if colon else side, plans_name).plans
    return meaning_of_configuration(plans, name) if colon else meaning_of_plans(plans)
