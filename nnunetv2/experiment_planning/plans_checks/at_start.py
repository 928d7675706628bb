"""The check that other commands run before they begin: errors stop them, everything else is said and goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from nnunetv2.errors import PlansError
from nnunetv2.experiment_planning.plans_checks.check import check_configurations, check_one, check_plans
from nnunetv2.experiment_planning.plans_checks.general_entries import PER_CHANNEL, PER_MODALITY, check_general_entries
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import one_configuration
from nnunetv2.experiment_planning.plans_checks.spelling import check_spelling
from nnunetv2.records.findings import Finding, counted
from nnunetv2.records.plans import LEGACY_KEYS, PREPROCESSING_KEYS

logger = logging.getLogger(__name__)

Purpose = Literal["preprocess", "train", "predict", "network"]

_NETWORK = ("architecture", *LEGACY_KEYS)
_IMAGES = ("image_reader_writer", "transpose_forward", "transpose_backward", PER_CHANNEL, PER_MODALITY)
_PROBABILITIES = ("resampling_fn_probabilities", "resampling_fn_probabilities_kwargs")

# What each work reads. An error elsewhere does not stop it: people use plans without what they do not need.
NEEDED: dict[Purpose, tuple[str, ...]] = {
    "preprocess": ("inherits_from", "data_identifier", *PREPROCESSING_KEYS, *_IMAGES),
    "train": (
        "inherits_from",
        "data_identifier",
        "batch_size",
        "patch_size",
        "spacing",
        "batch_dice",
        "previous_stage",
        *_NETWORK,
    ),
    "predict": ("inherits_from", "patch_size", *PREPROCESSING_KEYS, *_PROBABILITIES, *_IMAGES, *_NETWORK),
    # a trainer that was made in Python, with plans that may hold no more than this
    "network": ("data_identifier", "batch_size", "patch_size", "spacing", *_NETWORK),
}


def check_before_work(
    plans: Mapping[str, Any],
    file: str,
    names: Sequence[str],
    purpose: Purpose,
    dataset_json: Mapping[str, Any] | None = None,
    own_network: bool = False,
) -> None:
    """Check the configurations ``names`` of some plans for ``purpose``, and log what does not stop it.

    Builds no network and reads no case. Names that the plans lack are skipped; who asked for them reports that.
    ``own_network``: a trainer builds the network by itself, so what the plans say about it does not matter.
    Raises PlansError with every error at once.
    """
    if not isinstance(plans, Mapping) or not isinstance(plans.get("configurations"), Mapping):
        raise _as_error(file, check_plans(plans, file))
    report = Report(file)
    names = [name for name in names if name in plans["configurations"]]
    check_general_entries(plans, report)
    check_spelling(plans, report)
    check_configurations(plans, names, dataset_json, None, report, judge_network=not own_network)
    relevant = [finding for finding in report.findings if _concerns(finding, plans["configurations"], names)]
    errors = [finding for finding in relevant if _stops(finding, purpose, plans["configurations"])]
    if errors:
        raise _as_error(file, errors)
    for finding in relevant:
        if finding.severity != "note":
            logger.warning("%s", finding)


def require_sound_configuration(
    configuration: Mapping[str, Any],
    title: str,
    purpose: Purpose,
    dataset_json: Mapping[str, Any] | None = None,
    own_network: bool = False,
) -> None:
    """Check a configuration whose inheritance is resolved, as trainers and preprocessors hold it.

    ``title`` names plans and configuration, ``own_network`` as in ``check_before_work``. Raises PlansError with every
    error at once.
    """
    report = Report(title)
    check_one(one_configuration(configuration), {}, dataset_json, None, report, judge_network=not own_network)
    errors = [f for f in report.findings if f.severity == "error" and _entry(f.key) in NEEDED[purpose]]
    if errors:
        raise _as_error(title, errors)


def _as_error(file: str, findings: Iterable[Finding]) -> PlansError:
    lines = [str(finding).removeprefix(f"{file}: ") for finding in findings]
    return PlansError(f"{file} has {counted(len(lines), 'problem')}:\n" + "\n".join(f"  - {line}" for line in lines))


def _concerns(finding: Finding, configurations: Mapping[str, Any], names: Sequence[str]) -> bool:
    """Whether a finding is about the chosen configurations, what they inherit, or the whole file."""
    owner = _owner(finding.key, configurations)
    return owner is None or any(owner in _ancestry(name, configurations) for name in names)


def _ancestry(name: str, configurations: Mapping[str, Any]) -> list[str]:
    chain: list[str] = []
    while isinstance(name, str) and name in configurations and name not in chain:
        chain.append(name)
        entry = configurations[name]
        name = entry.get("inherits_from") if isinstance(entry, Mapping) else None
    return chain


def _stops(finding: Finding, purpose: Purpose, configurations: Mapping[str, Any]) -> bool:
    owner = _owner(finding.key, configurations)
    entry = finding.key if owner is None else finding.key[len(f"configurations.{owner}.") :]
    # an empty entry is the configuration as a whole
    return finding.severity == "error" and (not entry or _entry(entry) in NEEDED[purpose])


def _owner(key: str, configurations: Mapping[str, Any]) -> str | None:
    """The configuration in which ``key`` lies; names may contain dots, so the longest that fits counts."""
    fitting = [name for name in configurations if f"{key}.".startswith(f"configurations.{name}.")]
    return max(fitting, key=len) if fitting else None


def _entry(key: str) -> str:
    return key.split(".")[0].split("[")[0]
