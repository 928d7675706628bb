"""Using a network that may be anything: a torch module, compiled or wrapped, or a callable of another library.

What is required of it: called with a tensor (1, C, *patch) it gives (1, K, *patch), a tensor or an array.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
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


@contextmanager
def inference_settings(device: torch.device) -> Iterator[None]:
    """No gradients; on CUDA also float16 autocast and cuDNN's search for the fastest algorithm. All put back after."""
    before = torch.backends.cudnn.benchmark
    autocast = torch.autocast("cuda", dtype=torch.float16) if device.type == "cuda" else nullcontext()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    try:
        with torch.inference_mode(), autocast:
            yield
    finally:
        torch.backends.cudnn.benchmark = before
