"""The plans file that is meant by a path, or by a data set and the name of its plans; with what lies beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from os.path import dirname, isfile, join
from typing import Any

from nnunetv2.errors import FileContentError, MissingFileError, PlansError, UsageError
from nnunetv2.experiment_planning.plans_checks.at_start import require_sound_configuration
from nnunetv2.paths import nnUNet_preprocessed
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.records.layout import DATASET_JSON, FINGERPRINT_JSON, plans_file
from nnunetv2.records.plans import UNET_CLASS_PATHS
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

DEFAULT_PLANS = "nnUNetPlans"


@dataclass(frozen=True, kw_only=True)
class PlansDocuments:
    """A plans file and the documents in its folder that say what data it is for."""

    path: str
    plans: dict[str, Any]
    dataset_json: Mapping[str, Any] | None
    """None where there is no readable dataset.json beside the plans."""
    fingerprint: Mapping[str, Any] | None
    """None where there is no readable dataset_fingerprint.json beside the plans."""


def plans_path(file_or_dataset: PathLike | int, plans_name: str = DEFAULT_PLANS) -> str:
    """Path of the plans file: a path as it is, a data set (4, "4", "Dataset004_X") by the name of its plans.

    Raises MissingFileError naming the plans that exist, or UsageError for a word that is neither.
    """
    text = os.fspath(file_or_dataset) if not isinstance(file_or_dataset, int) else str(file_or_dataset)
    if isfile(text):
        return text
    if text.endswith(".json"):
        raise MissingFileError(f"{text} does not exist")
    if os.path.isdir(text) and not text.isdigit():
        raise UsageError(f"{text} is a folder; name the plans file in it")
    name = maybe_convert_to_dataset_name(text)
    folder = join(nnUNet_preprocessed.require(), name)
    path = plans_file(folder, plans_name)
    if not isfile(path):
        files = os.listdir(folder) if os.path.isdir(folder) else []
        others = sorted(file[: -len(".json")] for file in files if file.endswith("Plans.json"))
        raise MissingFileError(
            f"{path} does not exist. Plans there: {', '.join(others) or 'none'}. Choose one with -p, or make them with "
            f"nnUNetv2_plan_experiment"
        )
    return path


def load_plans(file_or_dataset: PathLike | int, plans_name: str = DEFAULT_PLANS) -> PlansDocuments:
    """The plans file and its neighbours. Raises what ``plans_path`` raises, and FileContentError or PlansError.

    A dataset.json or fingerprint beside the plans that cannot be read counts as absent; others report that.
    """
    path = plans_path(file_or_dataset, plans_name)
    plans = read_json(path)
    if not isinstance(plans, dict) or not isinstance(plans.get("configurations"), dict):
        raise PlansError(
            f'{path} is not a plans file: it has no object "configurations". Restore it, or make it again with '
            "nnUNetv2_plan_experiment"
        )
    return PlansDocuments(
        path=path,
        plans=plans,
        dataset_json=mapping_beside(path, DATASET_JSON),
        fingerprint=mapping_beside(path, FINGERPRINT_JSON),
    )


def require_sound(path: str, name: str, entries: Mapping[str, Any]) -> None:
    """Raise PlansError when a resolved configuration, in the current layout, contradicts itself.

    Networks that are none of the two U-Nets are left alone.
    """
    architecture = entries.get("architecture")
    class_name = architecture.get("network_class_name") if isinstance(architecture, Mapping) else None
    own = isinstance(class_name, str) and class_name.rpartition(".")[2] not in UNET_CLASS_PATHS
    own = own and isinstance(architecture.get("arch_kwargs"), Mapping)
    require_sound_configuration(entries, f"{path}, configuration {name}", "network", own_network=own)


def mapping_beside(plans_path: str, name: str) -> Mapping[str, Any] | None:
    """Content of the document ``name`` in the folder of a plans file; None when it is absent or unreadable."""
    path = join(dirname(plans_path), name)
    if not isfile(path):
        return None
    try:
        content = read_json(path)
    except FileContentError:
        return None
    return content if isinstance(content, Mapping) else None
