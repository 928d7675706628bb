"""Using a network that may be anything: a torch module, compiled or wrapped, or a callable of another library.

What is required of it: called with a tensor (1, C, *patch) it gives (1, K, *patch), a tensor or an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from nnunetv2.configuration import switch_from_environment

Network = Callable[[torch.Tensor], Any]


def innermost(network: Network) -> Network:
    """The network inside the wrappers of torch.compile and DDP; weights are loaded there."""
    while True:
        if isinstance(network, DistributedDataParallel):
            network = network.module
        elif hasattr(network, "_orig_mod"):
            network = network._orig_mod
        else:
            return network


def is_plain(network: Network) -> bool:
    """Whether it is a torch module without wrappers and hooks, so that a copy of it does all that it does."""
    if not isinstance(network, torch.nn.Module) or innermost(network) is not network:
        return False
    return not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def takes_weights(network: Network) -> bool:
    """Whether weights can be loaded into it."""
    return hasattr(innermost(network), "load_state_dict")


def load_weights(network: Network, weights: Mapping[str, torch.Tensor]) -> None:
    """Load a state dict; every name must fit."""
    innermost(network).load_state_dict(weights)


def make_ready(network: Network, device: torch.device) -> None:
    """Move it to ``device`` and switch to inference, where it knows what that is."""
    if hasattr(network, "to"):
        network.to(device)
    if hasattr(network, "eval"):
        network.eval()


def call(network: Network, batch: torch.Tensor) -> torch.Tensor:
    """The network's output as a tensor. Of several outputs (deep supervision, other libraries) the first counts."""
    output = network(batch)
    if isinstance(output, (list, tuple)):
        output = output[0]
    return torch.as_tensor(output)


def compiled_if_asked(network: Network) -> Network:
    """``torch.compile(network)`` when ``nnUNet_compile`` is on and it is not compiled yet.

    A network in DDP is compiled only if the module inside is: the trainer decided about that one.
    """
    if not switch_from_environment("nnUNet_compile") or hasattr(network, "_orig_mod"):
        return network
    if isinstance(network, DistributedDataParallel) and not hasattr(network.module, "_orig_mod"):
        return network
    return torch.compile(network)


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """What makes torch compute products on ``device`` in ``precision``: f32, bf16 or fp16."""
    if device.type == "mps":
        return nullcontext()
    if precision == "f32":
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[precision])


@contextmanager
def inference_settings(device: torch.device, precision: str | None = None) -> Iterator[None]:
    """No gradients, products in ``precision``; on CUDA also cuDNN's search for the fastest algorithm. All put back.

    Without a precision it is float16 on CUDA and float32 elsewhere.
    """
    before = torch.backends.cudnn.benchmark
    precision = precision or ("fp16" if device.type == "cuda" else "f32")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    try:
        with torch.inference_mode(), autocast(device, precision):
            yield
    finally:
        torch.backends.cudnn.benchmark = before
