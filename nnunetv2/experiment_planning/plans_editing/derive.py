"""A new configuration from few wishes: what differs from a base, in the layout of the plans it is for."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnunetv2.errors import PlansError, UsageError
from nnunetv2.experiment_planning.plans_editing.topology import (
    Steps,
    depths_for,
    features_for,
    require_divisible,
    strides_and_kernels,
)
from nnunetv2.records.plans import PREPROCESSING_KEYS, resolve_configuration, upgrade_configuration


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How the new configuration shall differ from its base; None: like the base."""

    stages: int | None = None
    """Resolutions of the network, the bottleneck included."""
    width: int | None = None
    """Feature maps of the first stage; each further stage has twice as many, up to the planner's limit."""
    spacing: Sequence[float] | None = None
    """Target spacing in mm, in the axis order of the plans (after transposing); two values for 2D."""
    patch_size: Sequence[int] | None = None
    """Voxels per axis, same order."""
    batch_size: int | None = None
    entries: Mapping[str, Any] = field(default_factory=dict)
    """Other entries by key, as in the file; ``a.b.c`` reaches into an inherited entry."""


def derive_configuration(plans: Mapping[str, Any], name: str, base: str, wishes: Wishes) -> dict[str, Any]:
    """The entry to write into ``configurations`` under ``name``: ``inherits_from`` and whatever differs from ``base``.

    Spacing, normalization or resampling that differ from the base's come with a ``data_identifier`` of their own. The
    network is described by ``architecture``, or by the older keys where the base has those. Raises UsageError when the
    wishes do not go together, PlansError for a broken base.
    """
    _require_usable_name(name)
    inherited = resolve_configuration(plans, base)
    _require_matching_lengths(wishes, len(inherited["patch_size"]))
    plain = {
        "spacing": None if wishes.spacing is None else [float(s) for s in wishes.spacing],
        "patch_size": None if wishes.patch_size is None else [int(n) for n in wishes.patch_size],
        "batch_size": wishes.batch_size,
    }
    entry = {key: value for key, value in plain.items() if value is not None and value != inherited.get(key)}
    entry |= _network_entries(inherited, entry, wishes)
    for key, value in wishes.entries.items():
        _set_nested(entry, inherited, key.split("."), value)
    if "data_identifier" not in entry and changes_preprocessing(entry, inherited):
        entry = {"data_identifier": f"{plans['plans_name']}_{name}", **entry}
    return {"inherits_from": base, **entry}


def changes_preprocessing(entry: Mapping[str, Any], inherited: Mapping[str, Any]) -> bool:
    """Whether cases preprocessed for ``inherited`` cannot be used with ``entry``."""
    return any(key in entry and entry[key] != inherited.get(key) for key in PREPROCESSING_KEYS)


def _require_usable_name(name: str) -> None:
    if not name or "__" in name or any(letter in name for letter in "/\\:") or name != name.strip():
        raise UsageError(
            f"{name!r} cannot be the name of a configuration: it becomes a part of folder names, where '__' separates "
            "trainer, plans and configuration. Use letters, digits, '.', '-' and single '_'"
        )


def _require_matching_lengths(wishes: Wishes, dimensions: int) -> None:
    for option, values in (("--spacing", wishes.spacing), ("--patch", wishes.patch_size)):
        if values is not None and (len(values) != dimensions or min(values) <= 0):
            raise UsageError(
                f"{option} is {','.join(map(str, values))}; the base has {dimensions} axes, so {dimensions} positive "
                "numbers are needed, in the axis order of the plans file"
            )
    for option, value in (("--stages", wishes.stages), ("--width", wishes.width), ("--batch", wishes.batch_size)):
        smallest = 2 if option == "--stages" else 1
        if value is not None and value < smallest:
            raise UsageError(f"{option} is {value}; it must be {smallest} or more")


def _network_entries(inherited: Mapping[str, Any], entry: Mapping[str, Any], wishes: Wishes) -> dict[str, Any]:
    """The entries that describe the network, or nothing when it stays the base's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the old layout, which is kept here on purpose
        architecture = upgrade_configuration(copy.deepcopy(dict(inherited)))["architecture"]
    kwargs = architecture["arch_kwargs"]
    if not {"strides", "kernel_sizes", "features_per_stage"} <= set(kwargs):
        if wishes.stages is None and wishes.width is None:
            return {}
        raise UsageError(
            f"--stages and --width are for U-Nets; the base's network is {architecture['network_class_name']}. Change "
            "its arguments by name, such as architecture.arch_kwargs.KEY=VALUE"
        )
    changed = _changed_kwargs(kwargs, {**inherited, **entry}, "spacing" in entry, wishes)
    if changed == {key: kwargs.get(key) for key in changed}:
        return {}
    if "architecture" in inherited:
        return {"architecture": {**architecture, "arch_kwargs": {**kwargs, **changed}}}
    return _as_older_keys(changed, inherited)


def _changed_kwargs(
    kwargs: Mapping[str, Any], wanted: Mapping[str, Any], other_spacing: bool, wishes: Wishes
) -> dict[str, Any]:
    """Arguments of the network that follow from the wishes."""
    patch = wanted["patch_size"]
    strides, kernels = (_per_axis(kwargs[key], len(patch)) for key in ("strides", "kernel_sizes"))
    stages = wishes.stages or len(strides)
    if other_spacing or stages > len(strides):
        strides, kernels = strides_and_kernels(wanted["spacing"], patch, stages)
    else:
        strides, kernels = strides[:stages], [*kernels[: stages - 1], kernels[-1]]
    require_divisible(patch, strides)
    depth_key = "n_blocks_per_stage" if "n_blocks_per_stage" in kwargs else "n_conv_per_stage"
    return {
        "n_stages": stages,
        "features_per_stage": features_for(kwargs["features_per_stage"], stages, wishes.width, len(patch)),
        "kernel_sizes": kernels,
        "strides": strides,
        depth_key: depths_for(_as_list(kwargs[depth_key]), stages),
        "n_conv_per_stage_decoder": depths_for(_as_list(kwargs["n_conv_per_stage_decoder"]), stages - 1),
    }


def _as_older_keys(changed: Mapping[str, Any], inherited: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the keys of before v2.3, as hand-edited plans of that time hold them."""
    features, strides = changed["features_per_stage"], changed["strides"]
    depths = changed.get("n_conv_per_stage", changed.get("n_blocks_per_stage"))
    limit = max(features[0], inherited["unet_max_num_features"])
    return {
        "UNet_base_num_features": features[0],
        "n_conv_per_stage_encoder": depths,
        "n_conv_per_stage_decoder": changed["n_conv_per_stage_decoder"],
        "num_pool_per_axis": [sum(stride[axis] > 1 for stride in strides) for axis in range(len(strides[0]))],
        "pool_op_kernel_sizes": strides,
        "conv_kernel_sizes": changed["kernel_sizes"],
        **({} if limit == inherited["unet_max_num_features"] else {"unet_max_num_features": limit}),
    }


def _set_nested(entry: dict[str, Any], inherited: Mapping[str, Any], keys: Sequence[str], value: Any) -> None:
    """``entry[a][b][c] = value``, in place; entries on the way are copied from what is inherited."""
    first, *rest = keys
    if not rest:
        entry[first] = value
        return
    place = entry[first] = copy.deepcopy(entry.get(first, inherited.get(first)))
    for depth, key in enumerate(rest):
        if not isinstance(place, dict):
            raise UsageError(f"{'.'.join(keys)}: the base has no object {'.'.join(keys[: depth + 1])} to change")
        if depth == len(rest) - 1:
            place[key] = value
        else:
            place = place.get(key)


def _per_axis(per_stage: Any, dimensions: int) -> Steps:
    if not isinstance(per_stage, (list, tuple)):
        raise PlansError(
            f"the base has {per_stage!r} for strides or kernels of all stages; write a value for each stage"
        )
    return [[value] * dimensions if isinstance(value, int) else list(value) for value in per_stage]


def _as_list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)
