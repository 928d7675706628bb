"""Configurations with what they inherit, and which configuration each entry comes from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.records.findings import suggestion


@dataclass(frozen=True)
class ResolvedConfiguration:
    """The entries that are in force for a configuration."""

    name: str
    entries: Mapping[str, Any]
    chain: tuple[str, ...]
    """The configuration itself, its parent, the parent's parent, ..."""
    owners: Mapping[str, str]
    """For each entry the configuration it is written in."""

    def path(self, key: str, *others: str) -> str:
        """Where ``key`` stands in the file; with ``others``: where it has to be changed so that it fits them.

        The latter is the configuration in which the entries first meet. ``key`` may go on below the entry: ``a.b``.
        """
        owners = [self.owners.get(name.split(".")[0], self.name) for name in (key, *others)]
        owner = min(owners, key=self.chain.index)
        return f"configurations.{owner}.{key}" if owner else key

    def own(self, key: str) -> bool:
        """Whether the configuration itself has ``key``."""
        return self.owners.get(key) == self.name


def resolve_without_stopping(
    configurations: Mapping[str, Any], names: Iterable[str], report: Report
) -> list[ResolvedConfiguration]:
    """Those of the configurations ``names`` that can be resolved; the others are reported."""
    resolved = []
    for name in names:
        entry = configurations[name]
        if not isinstance(entry, Mapping):
            report.add(
                f"configurations.{name}", entry, "a configuration is an object with keys", "Write it in braces {}"
            )
            continue
        chain = _chain(configurations, name, report)
        if chain is not None:
            resolved.append(_merged(configurations, name, chain))
    return resolved


def one_configuration(entries: Mapping[str, Any]) -> ResolvedConfiguration:
    """A configuration whose inheritance is resolved already; its entries have no path in a file."""
    return ResolvedConfiguration("", entries, ("",), dict.fromkeys(entries, ""))


def _chain(configurations: Mapping[str, Any], name: str, report: Report) -> tuple[str, ...] | None:
    """``name`` and its ancestors, or None when they cannot be followed to the end."""
    chain = [name]
    while (parent := configurations[chain[-1]].get("inherits_from")) is not None:
        key = f"configurations.{chain[-1]}.inherits_from"
        if not isinstance(parent, str) or parent not in configurations:
            others = [other for other in configurations if other != chain[-1]]
            report.add(key, parent, "there is no such configuration", suggestion(str(parent), others))
            return None
        if parent in chain:
            circle = " -> ".join([*chain[chain.index(parent) :], parent])
            report.add(key, parent, f"inheritance goes in a circle: {circle}", "Remove one of these inherits_from")
            return None
        if not isinstance(configurations[parent], Mapping):
            return None  # reported on its own
        chain.append(parent)
    return tuple(chain)


def _merged(configurations: Mapping[str, Any], name: str, chain: tuple[str, ...]) -> ResolvedConfiguration:
    entries: dict[str, Any] = {}
    owners: dict[str, str] = {}
    for ancestor in reversed(chain):
        entries |= configurations[ancestor]
        owners |= dict.fromkeys(configurations[ancestor], ancestor)
    return ResolvedConfiguration(name, entries, chain, owners)
