"""Plans from the layout before v2.3 to the current one, and back where the older one can say it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from nnunetv2.errors import PlansError
from nnunetv2.experiment_planning.plans_checks.general_entries import PER_CHANNEL, PER_MODALITY
from nnunetv2.experiment_planning.plans_editing.topology import MAX_FEATURES
from nnunetv2.records.plans import (
    LEGACY_KEYS,
    architecture_from_legacy,
    plans_title,
    resolve_configuration,
    upgrade_configuration,
)


def upgraded_plans(plans: Mapping[str, Any]) -> dict[str, Any]:
    """The same plans in the current layout, inheritance as it was. Raises PlansError for a broken configuration."""
    result = _renamed(plans, PER_MODALITY, PER_CHANNEL)
    result["configurations"] = {name: _upgraded(plans, name, entry) for name, entry in plans["configurations"].items()}
    return result


def downgraded_plans(plans: Mapping[str, Any]) -> dict[str, Any]:
    """The same plans in the layout before v2.3.

    Raises PlansError for a network that this layout cannot describe: another class, features that are not doubled up to
    a maximum, other building blocks than the usual ones.
    """
    result = copy.deepcopy(dict(plans))
    result["configurations"] = {
        name: _downgraded(plans, name, entry) for name, entry in plans["configurations"].items()
    }
    return result


def _upgraded(plans: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    own = [key for key in LEGACY_KEYS if key in entry]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        resolved = resolve_configuration(plans, name)
        if not own or "architecture" in resolved:
            # What stands below an architecture has no effect, so it is dropped.
            return {key: copy.deepcopy(value) for key, value in entry.items() if key not in LEGACY_KEYS}
        architecture = upgrade_configuration(resolved)["architecture"]
    return _with_replaced(entry, own, {"architecture": architecture})


def _downgraded(plans: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    if "architecture" not in entry:
        return copy.deepcopy(dict(entry))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        resolved = resolve_configuration(plans, name)
    dimensions = len(resolved["patch_size"])
    older = _older_keys(entry["architecture"], dimensions, f"{plans_title(plans)}, configuration {name}")
    return _with_replaced(entry, ["architecture"], older)


def _older_keys(architecture: Mapping[str, Any], dimensions: int, title: str) -> dict[str, Any]:
    kwargs = architecture["arch_kwargs"]
    features, strides = kwargs.get("features_per_stage"), kwargs.get("strides")
    depths = kwargs.get("n_conv_per_stage", kwargs.get("n_blocks_per_stage"))
    lists = (features, strides, depths, kwargs.get("n_conv_per_stage_decoder"), kwargs.get("kernel_sizes"))
    if not all(isinstance(value, list) for value in lists):
        raise PlansError(f"{title}: the older layout only knows U-Nets with one value per stage. Keep the current one")
    older = {
        "UNet_class_name": architecture["network_class_name"].rpartition(".")[2],
        "UNet_base_num_features": features[0],
        "n_conv_per_stage_encoder": depths,
        "n_conv_per_stage_decoder": kwargs["n_conv_per_stage_decoder"],
        "num_pool_per_axis": [sum(stride[axis] > 1 for stride in strides) for axis in range(dimensions)],
        "pool_op_kernel_sizes": strides,
        "conv_kernel_sizes": kwargs["kernel_sizes"],
        "unet_max_num_features": _maximum(features, dimensions),
    }
    back = architecture_from_legacy(older, dimensions)
    differing = [key for key in {**kwargs, **back["arch_kwargs"]} if kwargs.get(key) != back["arch_kwargs"].get(key)]
    if differing or back["network_class_name"] != architecture["network_class_name"]:
        what = ", ".join(f"{key} {kwargs.get(key)}" for key in differing) or architecture["network_class_name"]
        raise PlansError(f"{title}: the older layout cannot say {what}. Keep the current layout")
    return copy.deepcopy(older)


def _maximum(features: list[int], dimensions: int) -> int:
    """The limit that gives these features: the planner's wherever that is possible."""
    capped = any(after < 2 * before for before, after in pairwise(features))
    return features[-1] if capped else max(MAX_FEATURES[dimensions], features[-1])


def _with_replaced(entry: Mapping[str, Any], old: list[str], new: Mapping[str, Any]) -> dict[str, Any]:
    """``entry`` with ``new`` where the first of the keys ``old`` stood."""
    result: dict[str, Any] = {}
    for key, value in entry.items():
        if key == old[0] or (key in old and not any(k in result for k in new)):
            result |= new
        elif key not in old:
            result[key] = copy.deepcopy(value)
    return result


def _renamed(plans: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
    return {(new if key == old and new not in plans else key): copy.deepcopy(value) for key, value in plans.items()}
