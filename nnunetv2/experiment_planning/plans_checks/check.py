"""All checks of a plans file, as a list of findings."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from os.path import basename, dirname
from pathlib import Path
from typing import Any

from nnunetv2.experiment_planning.plans_checks.between_configurations import check_cascades, check_shared_identifiers
from nnunetv2.experiment_planning.plans_checks.configuration_entries import check_configuration_entries
from nnunetv2.experiment_planning.plans_checks.data_agreement import check_channels, check_intensities, check_spacing
from nnunetv2.experiment_planning.plans_checks.general_entries import check_general_entries
from nnunetv2.experiment_planning.plans_checks.network_entries import check_network_entries
from nnunetv2.experiment_planning.plans_checks.network_view import network_view
from nnunetv2.experiment_planning.plans_checks.pooling import check_pooling
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration, resolve_without_stopping
from nnunetv2.experiment_planning.plans_checks.spelling import check_spelling
from nnunetv2.records.files import PathLike
from nnunetv2.records.findings import Finding

REMEDY_FOR_FILE = "Restore it from a copy, or make it again with nnUNetv2_plan_experiment"


def check_plans(
    plans: Any,
    file: str = "plans",
    *,
    dataset_json: Mapping[str, Any] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    plans_name: str | None = None,
    dataset_name: str | None = None,
) -> list[Finding]:
    """Everything that is wrong with the content of a plans file, in its order.

    ``file`` names it in the findings. ``dataset_json`` and ``fingerprint`` are compared with where given;
    ``plans_name`` and ``dataset_name`` are what the file must call itself.
    """
    report = Report(file)
    if not isinstance(plans, Mapping):
        report.add("(the whole file)", plans, "plans are an object with keys", REMEDY_FOR_FILE)
        return report.findings
    check_general_entries(plans, report, plans_name, dataset_name)
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping) or not configurations:
        reason = "it must map names to configurations"
        if configurations is None:
            report.add_missing("configurations", reason, REMEDY_FOR_FILE)
        else:
            report.add("configurations", configurations, reason, REMEDY_FOR_FILE)
        return report.findings
    check_spelling(plans, report)
    check_configurations(plans, list(configurations), dataset_json, fingerprint, report)
    return report.findings


def check_configurations(
    plans: Mapping[str, Any],
    names: Sequence[str],
    dataset_json: Mapping[str, Any] | None,
    fingerprint: Mapping[str, Any] | None,
    report: Report,
    judge_network: bool = True,
) -> None:
    """The configurations ``names`` with what they inherit, and what they have to do with others."""
    configurations = plans["configurations"]
    resolved = resolve_without_stopping(configurations, names, report)
    for configuration in resolved:
        check_one(configuration, plans, dataset_json, fingerprint, report, judge_network)
    others = [name for name in configurations if name not in names]
    everyone = resolve_without_stopping(configurations, others, Report(report.file)) + resolved
    check_shared_identifiers(resolved, everyone, report)
    check_cascades(resolved, everyone, list(configurations), report)


def check_one(
    configuration: ResolvedConfiguration,
    plans: Mapping[str, Any],
    dataset_json: Mapping[str, Any] | None,
    fingerprint: Mapping[str, Any] | None,
    report: Report,
    judge_network: bool = True,
) -> None:
    """One configuration by itself and against the data set; its network only with ``judge_network``."""
    check_configuration_entries(configuration, report)
    network = network_view(configuration, report) if judge_network else None
    if network is not None and (check_network_entries(network, report) or not network.is_unet):
        check_pooling(network, report)
    if dataset_json is not None:
        check_channels(configuration, dataset_json, report)
    check_intensities(configuration, plans, report)
    check_spacing(configuration, plans, fingerprint, report)


def check_plans_file(
    path: PathLike,
    *,
    dataset_json: Mapping[str, Any] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    plans_name: str | None = None,
) -> list[Finding]:
    """``check_plans`` for a file, and what is wrong with its text: no JSON, keys that appear twice.

    With ``plans_name``, the file was found by this name in the folder of its data set, and has to say the same.
    """
    file = os.fspath(path)
    report = Report(file)
    doubled: list[str] = []

    def remember_doubled(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        doubled.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        plans = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=remember_doubled)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        line = error.doc.splitlines()[error.lineno - 1].strip() if error.doc.strip() else ""
        remedy = "Correct that place (a comma or bracket too many or too few is usual); editors that know JSON mark it"
        report.add(place, line, f"it is not valid JSON: {error.msg}", remedy)
        return report.findings
    except (OSError, ValueError, RecursionError) as error:  # no text, a number or a depth that is beyond reading
        report.add("(the whole file)", file, f"it cannot be read: {error}", REMEDY_FOR_FILE)
        return report.findings
    for key in doubled:
        report.add(
            key, "...", "the key appears twice in one object, and only the last one counts", "Remove or rename one"
        )
    dataset_name = basename(dirname(os.path.abspath(file))) if plans_name is not None else None
    found = check_plans(
        plans,
        file,
        dataset_json=dataset_json,
        fingerprint=fingerprint,
        plans_name=plans_name,
        dataset_name=dataset_name,
    )
    return [*report.findings, *found]
