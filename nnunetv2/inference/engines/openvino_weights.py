"""One converted network for all folds: each puts its weights in the place of those the network was converted with.

Converting takes seconds, replacing constants milliseconds. To find which constant is which parameter, the network is
converted with random numbers, every one of which occurs once.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from nnunetv2.inference.engines.openvino_conversion import convert, record
from nnunetv2.inference.engines.openvino_norms import with_accurate_norms


class Template(NamedTuple):
    """A converted network without weights that mean anything."""

    model: Any
    parameters: dict[str, str]
    """Name of the parameter for each constant that holds one, by the constant's name."""


def converted(network: nn.Module, shape: tuple[int, ...], precision: str) -> Any:
    """OpenVINO model of ``network`` (inference mode, CPU) for input of ``shape``, with its present weights.

    Raises EngineError when that is impossible.
    """
    model = convert(record(network, shape), shape)
    return with_accurate_norms(model) if precision == "f32" else model


def template(network: nn.Module, shape: tuple[int, ...], precision: str) -> Template | None:
    """Template of a network of this architecture; None where replacing constants might give another network.

    That is where loading weights does more than filling parameters, or where a constant is computed from them.
    Raises EngineError when the network cannot be converted.
    """
    if not _consists_of_tensors(network):
        return None
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    parameters = _parameters(network)
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.normal_(generator=generator)
    model = converted(network, shape, precision)
    constants = _float_constants(model)
    found = {name: _holders(constant.data, parameters) for name, constant in constants.items()}
    known = {name: holders[0] for name, holders in found.items() if len(holders) == 1}
    unknown = [name for name, constant in constants.items() if name not in known and constant.data.size > 1]
    # Of single numbers nobody can say whether they were computed from others.
    lost = [name for name, parameter in parameters.items() if parameter.numel() == 1 and name not in known.values()]
    return None if unknown or lost else Template(model, known)


def filled(empty: Template, network: nn.Module) -> Any:
    """OpenVINO model with the weights of ``network``, whose memory it shares; one of the template's architecture."""
    import openvino

    model, parameters = empty.model.clone(), _parameters(network)
    for name, constant in _float_constants(model).items():
        if name in empty.parameters:
            values = np.ascontiguousarray(parameters[empty.parameters[name]].detach().numpy())
            replacement = openvino.op.Constant(values.reshape(constant.data.shape), shared_memory=True)
            for target in constant.output(0).get_target_inputs():
                target.replace_source_output(replacement.output(0))
    return model


def _consists_of_tensors(network: nn.Module) -> bool:
    """Whether loading weights fills tensors of float32 and does nothing else."""
    for module in network.modules():
        kind = type(module)
        plain = kind._load_from_state_dict is nn.Module._load_from_state_dict or kind.__module__.startswith("torch.nn.")
        hooks = module._load_state_dict_pre_hooks or module._load_state_dict_post_hooks
        if not plain or hooks or kind.get_extra_state is not nn.Module.get_extra_state:
            return False
    return all(parameter.dtype == torch.float32 for parameter in network.parameters())


def _parameters(network: nn.Module) -> dict[str, torch.Tensor]:
    floating = ((name, buffer) for name, buffer in network.named_buffers() if buffer.is_floating_point())
    return {**dict(network.named_parameters()), **dict(floating)}


def _float_constants(model: Any) -> dict[str, Any]:
    """Constants of a model by name; names are kept when it is cloned."""
    nodes = (node for node in model.get_ordered_ops() if node.get_type_name() == "Constant")
    return {node.get_friendly_name(): node for node in nodes if node.data.dtype.kind == "f"}


def _holders(values: np.ndarray, parameters: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of the parameters with these values, in any shape."""
    return [
        name
        for name, parameter in parameters.items()
        if parameter.numel() == values.size and np.array_equal(parameter.detach().numpy().ravel(), values.ravel())
    ]
