"""The plans file that planning writes: what it keeps of an older one, and its summary in a few lines."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from os.path import isfile
from typing import Any

from nnunetv2.records.files import PathLike, read_json, write_json

logger = logging.getLogger(__name__)

# In the order in which plans list them. Planning owns these names; all others belong to people.
DEFAULT_CONFIGURATIONS = ("2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres")


def additions_to_keep(planned: Mapping[str, Any], existing: Mapping[str, Any]) -> dict[str, Any]:
    """The configurations of ``existing`` that a person added: neither planned now nor one of the default names."""
    return {
        name: configuration
        for name, configuration in existing.items()
        if name not in planned and name not in DEFAULT_CONFIGURATIONS
    }


def write_plans(path: PathLike, plans: Mapping[str, Any]) -> None:
    """Write ``plans`` to ``path``; configurations that a person added to an existing file follow the planned ones."""
    planned = plans["configurations"]
    existing = read_json(path).get("configurations", {}) if isfile(path) else {}
    kept = additions_to_keep(planned, existing)
    merged = {**planned, **kept}
    if kept:
        logger.info("%s: kept the added configuration(s) %s", os.fspath(path), ", ".join(kept))
    for name, configuration in kept.items():
        parent = configuration.get("inherits_from")
        if parent is not None and parent not in merged:
            logger.warning(
                "%s: configuration %s inherits from %s, which is no longer planned; change or remove it",
                os.fspath(path),
                name,
                parent,
            )
    write_json(path, {**plans, "configurations": merged}, sort_keys=False)


def summary_of_configurations(configurations: Mapping[str, Any]) -> str:
    """One line per configuration: patch and batch size, spacing in mm, depth of the network."""
    lines = []
    for name, configuration in configurations.items():
        if "patch_size" not in configuration:
            lines.append(f"  {name:<20} inherits from {configuration.get('inherits_from')}")
            continue
        patch = " x ".join(str(n) for n in configuration["patch_size"])
        spacing = ", ".join(f"{s:.4g}" for s in configuration["spacing"])
        stages = configuration.get("architecture", {}).get("arch_kwargs", {}).get("n_stages", "?")
        lines.append(
            f"  {name:<20} patch {patch}, batch {configuration['batch_size']}, spacing {spacing} mm, {stages} stages"
        )
    return "\n".join(lines)
