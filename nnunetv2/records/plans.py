"""Plans: inheritance between configurations, and the layout before v2.3.

A plans file has general entries and ``configurations``. A configuration may name another one in ``inherits_from`` and
then only holds what differs. Functions here take and return plain dictionaries, because that is what people edit.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.errors import PlansError

LEGACY_KEYS = (
    "UNet_class_name",
    "UNet_base_num_features",
    "n_conv_per_stage_encoder",
    "n_conv_per_stage_decoder",
    "num_pool_per_axis",
    "pool_op_kernel_sizes",
    "conv_kernel_sizes",
    "unet_max_num_features",
)
"""What described the network before ``architecture`` existed. ``num_pool_per_axis`` was never used."""

PREPROCESSING_KEYS = (
    "preprocessor_name",
    "spacing",
    "normalization_schemes",
    "use_mask_for_norm",
    "resampling_fn_data",
    "resampling_fn_data_kwargs",
    "resampling_fn_seg",
    "resampling_fn_seg_kwargs",
)
"""Entries that preprocessed cases depend on: configurations that differ in one need a ``data_identifier`` each."""

UNET_CLASS_PATHS = {
    name: f"dynamic_network_architectures.architectures.unet.{name}"
    for name in ("PlainConvUNet", "ResidualEncoderUNet")
}
"""The networks that planners write: last name to dotted name."""


def plans_title(plans: Mapping[str, Any]) -> str:
    """How errors name a plans file: ``nnUNetPlans (Dataset004_Hippocampus)``."""
    return (
        f"plans {plans.get('plans_name', '(without plans_name)')} of {plans.get('dataset_name', '(unnamed data set)')}"
    )


def resolve_configuration(plans: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Configuration ``name`` with everything it inherits, as a deep copy.

    The child's entries replace the parent's as a whole (``architecture`` is never merged). Raises PlansError (a
    ValueError and a RuntimeError) for an unknown name, and for a cycle.
    """
    return _resolve(plans, name, ())


def _resolve(plans: Mapping[str, Any], name: str, visited: tuple[str, ...]) -> dict[str, Any]:
    configurations = plans.get("configurations")
    if not isinstance(configurations, Mapping):
        raise PlansError(f"{plans_title(plans)}: configurations is {configurations!r}; it must map names to entries")
    if not isinstance(name, str):
        raise PlansError(f"{plans_title(plans)}: inherits_from of {visited[-1]} is {name!r}; it must be a name")
    if name not in configurations:
        asked_by = f" (named in inherits_from of {visited[-1]})" if visited else ""
        raise PlansError(
            f"{plans_title(plans)}: no configuration {name!r}{asked_by}. There are: {', '.join(configurations)}"
        )
    if name in visited:
        chain = " -> ".join([*visited, name])
        raise PlansError(f"{plans_title(plans)}: inherits_from goes in a circle: {chain}. Remove one of these entries")
    if not isinstance(configurations[name], Mapping):
        raise PlansError(f"{plans_title(plans)}: configuration {name} is {configurations[name]!r}, not an object")
    child = copy.deepcopy(dict(configurations[name]))
    parent_name = child.get("inherits_from")
    if parent_name is None:
        return child
    parent = _resolve(plans, parent_name, (*visited, name))
    stray = [key for key in LEGACY_KEYS if key in child]
    if "architecture" in parent and "architecture" not in child and stray:
        warnings.warn(
            f"{plans_title(plans)}: configuration {name} sets {', '.join(stray)}, but inherits an architecture from "
            f"{parent_name}, so these entries have no effect. Give it an architecture of its own",
            UserWarning,
            stacklevel=2,
        )
    return parent | child


def upgrade_configuration(configuration: dict[str, Any]) -> dict[str, Any]:
    """Turn the network entries of the layout before v2.3 into ``architecture``, in place; returns ``configuration``.

    Does nothing when ``architecture`` is there already. Raises PlansError for a missing entry or an unknown class.
    """
    if "architecture" in configuration:
        return configuration
    missing = [key for key in LEGACY_KEYS if key not in configuration and key != "num_pool_per_axis"]
    if missing:
        raise PlansError(
            "a configuration has no architecture, and for one in the layout before v2.3 these entries are missing: "
            + ", ".join(missing)
        )
    warnings.warn(
        "Detected old nnU-Net plans format. The network entries were translated to 'architecture' in memory; the file "
        "is unchanged and goes on working",
        UserWarning,
        stacklevel=2,
    )
    old = {key: configuration.pop(key, None) for key in LEGACY_KEYS}
    try:
        configuration["architecture"] = architecture_from_legacy(old, dim=len(configuration["patch_size"]))
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        if isinstance(error, PlansError):
            raise
        raise PlansError(
            f"a configuration in the layout before v2.3 cannot be translated ({error!r}); nnUNetv2_plans check lists "
            "what is wrong with it"
        ) from error
    return configuration


def architecture_from_legacy(old: Mapping[str, Any], dim: int) -> dict[str, Any]:
    """The ``architecture`` that the older keys in ``old`` stand for; ``dim`` is 2 or 3."""
    class_name = old["UNet_class_name"]
    if class_name not in UNET_CLASS_PATHS:
        raise PlansError(f"UNet_class_name is {class_name!r}; known are {', '.join(UNET_CLASS_PATHS)}")
    n_stages = len(old["n_conv_per_stage_encoder"])
    features = [min(old["UNet_base_num_features"] * 2**i, old["unet_max_num_features"]) for i in range(n_stages)]
    depth_key = "n_conv_per_stage" if class_name == "PlainConvUNet" else "n_blocks_per_stage"
    return architecture_entry(
        UNET_CLASS_PATHS[class_name],
        dim,
        features,
        old["conv_kernel_sizes"],
        old["pool_op_kernel_sizes"],
        {depth_key: old["n_conv_per_stage_encoder"], "n_conv_per_stage_decoder": old["n_conv_per_stage_decoder"]},
    )


def architecture_entry(
    network_class_name: str,
    dim: int,
    features_per_stage: Sequence[int],
    kernel_sizes: Sequence[Sequence[int]],
    strides: Sequence[Sequence[int]],
    depths: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """An ``architecture`` entry with nnU-Net's constant choices (instance norm, leaky ReLU, biases, no dropout).

    ``dim`` is 2 or 3; ``depths`` holds convolutions or blocks per stage under their keys. Key order is as in files.
    """
    return {
        "network_class_name": network_class_name,
        "arch_kwargs": {
            "n_stages": len(features_per_stage),
            "features_per_stage": list(features_per_stage),
            "conv_op": f"torch.nn.modules.conv.Conv{dim}d",
            "kernel_sizes": kernel_sizes,
            "strides": strides,
            **depths,
            "conv_bias": True,
            "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dim}d",
            "norm_op_kwargs": {"eps": 1e-05, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }
