"""What configurations say about each other: shared folders of preprocessed cases, stages of cascades."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration
from nnunetv2.experiment_planning.plans_checks.values import is_text, plain
from nnunetv2.records.findings import suggestion
from nnunetv2.records.plans import PREPROCESSING_KEYS


def check_shared_identifiers(
    configurations: Sequence[ResolvedConfiguration], everyone: Sequence[ResolvedConfiguration], report: Report
) -> None:
    """Configurations with the same ``data_identifier`` must be preprocessed alike, or one overwrites the other.

    ``configurations`` are compared with those of ``everyone`` that come before them.
    """
    for configuration in configurations:
        identifier = configuration.entries.get("data_identifier")
        if not is_text(identifier):
            continue
        for other in everyone:
            if other.name == configuration.name:
                break
            differing = _differing(configuration, other)
            if other.entries.get("data_identifier") == identifier and differing:
                report.add(
                    configuration.path("data_identifier", *differing),
                    identifier,
                    f"configuration {other.name} has it, too, but differs in {', '.join(differing)}, so preprocessing "
                    "one overwrites the cases of the other",
                    f'Write a name of its own, such as "{identifier}_{configuration.name}"',
                    "warning",
                )
                break


def _differing(one: ResolvedConfiguration, other: ResolvedConfiguration) -> list[str]:
    """Entries that matter to preprocessing and are not the same."""
    return [key for key in PREPROCESSING_KEYS if plain(one.entries.get(key)) != plain(other.entries.get(key))]


def check_cascades(
    configurations: Sequence[ResolvedConfiguration],
    everyone: Sequence[ResolvedConfiguration],
    names: Sequence[str],
    report: Report,
) -> None:
    """That the stages of ``configurations`` exist and name each other.

    ``everyone`` are all that could be resolved, ``names`` also the others.
    """
    by_name = {configuration.name: configuration for configuration in everyone}
    for configuration in configurations:
        previous = configuration.entries.get("previous_stage")
        if previous is not None and _exists(configuration, "previous_stage", previous, names, report):
            _check_previous(configuration, by_name.get(previous), by_name, report)
        following = configuration.entries.get("next_stage")
        for name in [following] if not isinstance(following, (list, tuple)) else following:
            if name is not None:
                _exists(configuration, "next_stage", name, names, report)


def _exists(configuration: ResolvedConfiguration, key: str, name: Any, names: Sequence[str], report: Report) -> bool:
    if isinstance(name, str) and name in names:
        return True
    others = [other for other in names if other != configuration.name]
    report.add(configuration.path(key), name, "there is no such configuration", suggestion(str(name), others))
    return False


def _check_previous(
    configuration: ResolvedConfiguration,
    previous: ResolvedConfiguration | None,
    by_name: Mapping[str, ResolvedConfiguration],
    report: Report,
) -> None:
    if previous is None:
        return  # reported on its own
    path = configuration.path("previous_stage")
    if _leads_back(configuration, by_name):
        report.add(path, previous.name, "the stages of this cascade go in a circle", "Remove one previous_stage")
        return
    following = previous.entries.get("next_stage")
    if configuration.name not in ([following] if isinstance(following, str) else following or []):
        known = [following] if isinstance(following, str) else list(following or [])
        wanted = [*known, configuration.name] if known else configuration.name
        report.add(
            previous.path("next_stage"),
            following,
            f"{configuration.name} takes its segmentations from {previous.name}, which does not write them for it",
            f'Write "next_stage": {str(wanted).replace(chr(39), chr(34)) if known else f"{chr(34)}{wanted}{chr(34)}"} '
            f"in {previous.name}",
            "warning",
        )
    sizes = [plain(stage.entries.get("patch_size")) for stage in (configuration, previous)]
    if all(isinstance(size, list) for size in sizes) and len(sizes[0]) != len(sizes[1]):
        report.add(
            path,
            previous.name,
            f"it has {len(sizes[1])} axes and this configuration {len(sizes[0])}",
            "Name a configuration with as many axes",
        )


def _leads_back(configuration: ResolvedConfiguration, by_name: Mapping[str, ResolvedConfiguration]) -> bool:
    seen, name = set(), configuration.name
    while name in by_name and name not in seen:
        seen.add(name)
        name = by_name[name].entries.get("previous_stage")
        if not isinstance(name, str):
            return False
    return name == configuration.name
