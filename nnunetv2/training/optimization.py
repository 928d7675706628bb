"""One step of optimisation: batch to device, precision, clipped gradients.

Legend: ``data`` float32 (B, C, *patch); ``target`` (B, 1, *patch) or (B, R, *patch), or a list of them, highest
resolution first; the network gives logits (B, K, *patch), or a list of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from nnunetv2.utilities.helpers import dummy_context

# Limit of the global L2 norm of all gradients. Large losses of the first iterations blow the weights up without it.
MAX_GRADIENT_NORM = 12.0

Tensors = torch.Tensor | list[torch.Tensor]


def make_grad_scaler(device: torch.device) -> Any:
    """The loss scaler float16 needs on CUDA (torch's defaults); None elsewhere."""
    if device.type != "cuda":
        return None
    usable = torch.cuda.is_available()
    if hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler"):  # torch >= 2.3
        return torch.amp.GradScaler("cuda", enabled=usable)
    return torch.cuda.amp.GradScaler(enabled=usable)


def autocast(device: torch.device, precision: str | None = None) -> AbstractContextManager:
    """Autocast to bfloat16 for ``bf16``, none for ``f32``; by default to float16 on CUDA and none elsewhere."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return torch.autocast("cuda") if device.type == "cuda" and precision is None else dummy_context()


def slow_bfloat16(device: torch.device, precision: str | None) -> bool:
    """Whether ``bf16`` was asked for on a CPU without matrix units (AMX), where it saves memory, but no time."""
    if device.type != "cpu" or precision != "bf16":
        return False
    supported = getattr(torch.cpu, "_is_amx_tile_supported", None)  # torch >= 2.4
    return supported is not None and not supported()


def batch_on_device(batch: Mapping[str, Any], device: torch.device) -> tuple[torch.Tensor, Tensors]:
    """``data`` and ``target`` of a batch on ``device``."""
    target = batch["target"]
    if isinstance(target, list):
        moved: Tensors = [t.to(device, non_blocking=True) for t in target]
    else:
        moved = target.to(device, non_blocking=True)
    return batch["data"].to(device, non_blocking=True), moved


def forward(
    network: nn.Module,
    loss: Callable[..., torch.Tensor],
    data: torch.Tensor,
    target: Tensors,
    device: torch.device,
    precision: str | None = None,
) -> tuple[Tensors, torch.Tensor]:
    """Logits and loss, in the precision that ``autocast`` describes."""
    with autocast(device, precision):
        output = network(data)
        return output, loss(output, target)


def backward(
    loss: torch.Tensor, network: nn.Module, optimizer: torch.optim.Optimizer, grad_scaler: Any = None
) -> torch.Tensor:
    """Compute and clip gradients; returns their norm before, with 0 axes. With a scaler they are unscaled first."""
    if grad_scaler is None:
        loss.backward()
    else:
        grad_scaler.scale(loss).backward()
        grad_scaler.unscale_(optimizer)
    return nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)


def advance(optimizer: torch.optim.Optimizer, grad_scaler: Any = None) -> None:
    """Optimizer step after ``backward``. A scaler leaves it out when a gradient is not finite."""
    if grad_scaler is None:
        optimizer.step()
    else:
        grad_scaler.step(optimizer)
        grad_scaler.update()


def highest_resolution(tensors: Tensors) -> torch.Tensor:
    """The first of a list (deep supervision), or the tensor itself."""
    return tensors[0] if isinstance(tensors, (list, tuple)) else tensors
