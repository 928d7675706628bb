"""A network as the plans describe it, without a trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from nnunetv2.errors import PlansError
from nnunetv2.networks.resolve import resolve_imports, resolve_network_class
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager


def get_network_from_plans(*args: Any, **kwargs: Any) -> nn.Module:
    """Build a network.

    Call it as ``(arch_class_name, arch_kwargs, arch_kwargs_req_import, input_channels, output_channels,
    allow_init=True, deep_supervision=None)``; the form of v2.0 to v2.2, ``(plans_manager, dataset_json,
    configuration_manager, num_input_channels, deep_supervision=True)``, works too.

    ``arch_kwargs_req_import`` names the entries of ``arch_kwargs`` that hold dotted names. With ``allow_init`` the
    network's own ``initialize`` is applied to all its modules. Raises PlansError when a name cannot be resolved or the
    class does not accept the arguments.
    """
    if isinstance(args[0] if args else kwargs.get("plans_manager"), PlansManager):
        return _from_managers(*args, **kwargs)
    return _from_architecture(*args, **kwargs)


def _from_architecture(
    arch_class_name: str,
    arch_kwargs: dict[str, Any],
    arch_kwargs_req_import: Sequence[str],
    input_channels: int,
    output_channels: int,
    allow_init: bool = True,
    deep_supervision: bool | None = None,
) -> nn.Module:
    network_class = resolve_network_class(arch_class_name)
    resolved = resolve_imports(arch_kwargs, arch_kwargs_req_import)
    if deep_supervision is not None:
        resolved["deep_supervision"] = deep_supervision
    try:
        network = network_class(input_channels=input_channels, num_classes=output_channels, **resolved)
    except (TypeError, AssertionError) as error:
        raise PlansError(
            f"{arch_class_name} cannot be built with the architecture.arch_kwargs of the plans: {error}. "
            "Check the number of entries per stage and the spelling of the keys"
        ) from error
    if allow_init and hasattr(network, "initialize"):
        network.apply(network.initialize)
    return network


def _from_managers(
    plans_manager, dataset_json, configuration_manager, num_input_channels=None, deep_supervision=True
) -> nn.Module:
    if num_input_channels is None:
        num_input_channels = determine_num_input_channels(plans_manager, configuration_manager, dataset_json)
    return _from_architecture(
        configuration_manager.network_arch_class_name,
        configuration_manager.network_arch_init_kwargs,
        configuration_manager.network_arch_init_kwargs_req_import,
        num_input_channels,
        plans_manager.get_label_manager(dataset_json).num_segmentation_heads,
        deep_supervision=deep_supervision,
    )
