"""Building a network through a trainer class, whichever of its three historical signatures it has.

A: v2.0 to v2.2 ``(plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision)``
B: v2.3 to v2.6 ``(architecture_class_name, arch_init_kwargs, arch_init_kwargs_req_import, num_input_channels,
   num_output_channels, enable_deep_supervision)``
C: since v2.7 ``(plans_manager, configuration_manager, num_input_channels, num_output_channels,
   enable_deep_supervision)``
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any


def build_network(
    trainer: Any,
    plans_manager: Any,
    configuration_manager: Any,
    dataset_json: Mapping[str, Any],
    num_input_channels: int,
    num_output_channels: int,
    enable_deep_supervision: bool,
) -> Any:
    """Call ``trainer.build_network_architecture`` (class or instance) in the style its parameter names ask for."""
    function: Callable = trainer.build_network_architecture
    parameters = inspect.signature(function).parameters
    if "dataset_json" in parameters:
        return function(plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision)
    if "plans_manager" in parameters:
        return function(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
    warnings.warn(
        "this trainer's build_network_architecture has the signature of v2.3 to v2.6. It works; the current one is "
        "(plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision)",
        DeprecationWarning,
        stacklevel=2,
    )
    known = {
        "num_input_channels": num_input_channels,
        "num_output_channels": num_output_channels,
        "enable_deep_supervision": enable_deep_supervision,
        "input_patch_size": tuple(configuration_manager.patch_size),
    }
    # The first three went by several names; what follows is bound by name, since some trainers insert a patch size.
    first_three = (
        configuration_manager.network_arch_class_name,
        configuration_manager.network_arch_init_kwargs,
        configuration_manager.network_arch_init_kwargs_req_import,
    )
    rest = [name for name in list(parameters)[3:] if name in known]
    return function(*first_three, **{name: known[name] for name in rest})


def parse_build_arguments(*args: Any, **kwargs: Any) -> tuple[str, dict[str, Any], list[str], int, int, bool]:
    """Class name, arguments, names to import, input and output channels, deep supervision: from a call in any style.

    This is how the stock trainer's ``build_network_architecture`` accepts explicit calls made for older versions.
    """
    first = (
        args[0]
        if args
        else next((kwargs[k] for k in ("plans_manager", "architecture_class_name") if k in kwargs), None)
    )
    if isinstance(first, str):
        style: Callable = _style_b
    elif "dataset_json" in kwargs or (len(args) > 1 and isinstance(args[1], Mapping) and "labels" in args[1]):
        style = _style_a
    else:
        style = _style_c
    return style(*args, **kwargs)


def _style_a(plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision=True):
    heads = plans_manager.get_label_manager(dataset_json).num_segmentation_heads
    return _style_c(plans_manager, configuration_manager, num_input_channels, heads, enable_deep_supervision)


def _style_b(
    architecture_class_name,
    arch_init_kwargs,
    arch_init_kwargs_req_import,
    num_input_channels,
    num_output_channels,
    enable_deep_supervision=True,
):
    return (
        architecture_class_name,
        arch_init_kwargs,
        arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision,
    )


def _style_c(
    plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
):
    return (
        configuration_manager.network_arch_class_name,
        configuration_manager.network_arch_init_kwargs,
        configuration_manager.network_arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision,
    )
