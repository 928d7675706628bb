"""The network of a configuration in one form, whichever of the two layouts describes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration
from nnunetv2.experiment_planning.plans_checks.values import is_list_of, is_positive_integer
from nnunetv2.records.findings import suggestion
from nnunetv2.records.plans import LEGACY_KEYS, UNET_CLASS_PATHS, architecture_from_legacy

# What the arguments of today were called before v2.3.
OLDER_NAMES = {
    "n_stages": "n_conv_per_stage_encoder",
    "features_per_stage": "UNet_base_num_features",
    "kernel_sizes": "conv_kernel_sizes",
    "strides": "pool_op_kernel_sizes",
    "n_conv_per_stage": "n_conv_per_stage_encoder",
    "n_blocks_per_stage": "n_conv_per_stage_encoder",
    "n_conv_per_stage_decoder": "n_conv_per_stage_decoder",
}


@dataclass(frozen=True)
class NetworkView:
    """Class and arguments of a network, and where they stand in the file."""

    configuration: ResolvedConfiguration
    class_name: str
    arch_kwargs: Mapping[str, Any]
    imports: Any
    older_layout: bool

    def path(self, key: str, *others: str) -> str:
        """Where the argument ``key`` stands; ``others`` are entries of the configuration that it has to fit."""
        if self.older_layout:
            return self.configuration.path(OLDER_NAMES[key], *others)
        return self.configuration.path(f"architecture.arch_kwargs.{key}", *others)

    def entry(self, key: str) -> str:
        """The entry of the configuration that holds the argument ``key``."""
        return OLDER_NAMES[key] if self.older_layout else "architecture"

    def name(self, key: str) -> str:
        """What the argument is called in this layout."""
        return OLDER_NAMES[key] if self.older_layout else key

    @property
    def is_unet(self) -> bool:
        """Whether it is one of the two U-Nets that planners write, by its last name."""
        module, _, name = self.class_name.rpartition(".")
        return name in UNET_CLASS_PATHS and module.startswith("dynamic_network_architectures.architectures")

    @property
    def is_residual(self) -> bool:
        """Whether that U-Net has a residual encoder."""
        return self.class_name.endswith("ResidualEncoderUNet")


def network_view(configuration: ResolvedConfiguration, report: Report) -> NetworkView | None:
    """The network, or None when its description is too broken to go on; that is reported."""
    entries = configuration.entries
    if "architecture" in entries:
        return _current(configuration, report)
    if not any(key in entries for key in LEGACY_KEYS):
        report.add_missing(
            configuration.path("architecture"),
            "it describes the network, here or in what is inherited",
            "Copy it from a complete configuration, or name that in inherits_from",
        )
        return None
    return _older(configuration, report)


def _current(configuration: ResolvedConfiguration, report: Report) -> NetworkView | None:
    _report_older_keys_without_effect(configuration, report)
    architecture, path = configuration.entries["architecture"], configuration.path("architecture")
    if not isinstance(architecture, Mapping):
        report.add(path, architecture, "it must be an object", "Copy it from a complete configuration")
        return None
    missing = [key for key in ("network_class_name", "arch_kwargs", "_kw_requires_import") if key not in architecture]
    for key in missing:
        report.add_missing(
            f"{path}.{key}",
            "an architecture is not merged with an inherited one but replaces it as a whole",
            "Copy the whole architecture and change it there, or let nnUNetv2_plans derive write it",
        )
    kwargs, class_name = architecture.get("arch_kwargs"), architecture.get("network_class_name")
    if "arch_kwargs" not in missing and not isinstance(kwargs, Mapping):
        report.add(f"{path}.arch_kwargs", kwargs, "it must be an object with arguments", "Write {} for none")
    if "network_class_name" not in missing and not isinstance(class_name, str):
        report.add(
            f"{path}.network_class_name", class_name, "it must be the dotted name of a class", "Write it as text"
        )
    if not isinstance(kwargs, Mapping) or not isinstance(class_name, str):
        return None
    return NetworkView(configuration, class_name, kwargs, architecture.get("_kw_requires_import"), older_layout=False)


def _report_older_keys_without_effect(configuration: ResolvedConfiguration, report: Report) -> None:
    owner = configuration.owners["architecture"]
    descendants = configuration.chain[: configuration.chain.index(owner) + 1]
    for key in LEGACY_KEYS:
        if configuration.owners.get(key) in descendants:
            report.add(
                configuration.path(key),
                configuration.entries[key],
                f"it has no effect, since architecture (of {owner}) describes the network",
                "Remove it and change architecture; nnUNetv2_plans derive writes what is needed",
                "warning",
            )


def _older(configuration: ResolvedConfiguration, report: Report) -> NetworkView | None:
    entries, before = configuration.entries, report.errors
    missing = [key for key in LEGACY_KEYS if key not in entries and key != "num_pool_per_axis"]
    for key in missing:
        report.add_missing(
            configuration.path(key),
            "the layout before v2.3 needs it",
            "Add it, or copy it from a complete configuration",
        )
    name = entries.get("UNet_class_name")
    if name is not None and name not in UNET_CLASS_PATHS:
        report.add(
            configuration.path("UNet_class_name"),
            name,
            "there is no such network",
            suggestion(str(name), UNET_CLASS_PATHS),
        )
    for key in ("UNet_base_num_features", "unet_max_num_features"):
        if key in entries and not is_positive_integer(entries[key]):
            report.add(
                configuration.path(key), entries[key], "it must be a positive integer", "Write a number such as 32"
            )
    key = "n_conv_per_stage_encoder"
    if key in entries and not (is_list_of(is_positive_integer, entries[key]) and len(entries[key]) > 0):
        reason = "it must be a list of positive integers, one per stage"
        report.add(configuration.path(key), entries[key], reason, "Write a list such as [2, 2, 2, 2]")
    _check_pool_counts(configuration, report)
    if report.errors > before:
        return None
    patch = entries.get("patch_size")
    architecture = architecture_from_legacy(entries, dim=len(patch) if isinstance(patch, (list, tuple)) else 3)
    kwargs, imports = architecture["arch_kwargs"], architecture["_kw_requires_import"]
    return NetworkView(configuration, architecture["network_class_name"], kwargs, imports, older_layout=True)


def _check_pool_counts(configuration: ResolvedConfiguration, report: Report) -> None:
    """``num_pool_per_axis`` is not used, but one that contradicts the strides shows an edit that was left half done."""
    counts, strides = (configuration.entries.get(key) for key in ("num_pool_per_axis", "pool_op_kernel_sizes"))
    if counts is None or not is_list_of(lambda s: is_list_of(is_positive_integer, s), strides) or not strides:
        return
    lengths = {len(stride) for stride in strides}
    found = [sum(stride[axis] > 1 for stride in strides) for axis in range(min(lengths))]
    if counts != found:
        report.add(
            configuration.path("num_pool_per_axis", "pool_op_kernel_sizes"),
            counts,
            f"pool_op_kernel_sizes pools {found} times per axis, and only that counts",
            f"Write {found}, or correct pool_op_kernel_sizes",
            "warning",
        )
