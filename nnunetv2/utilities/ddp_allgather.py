"""Gathering tensors over processes with gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import distributed


class AllGatherGrad(torch.autograd.Function):
    """Stack a tensor of every rank along a new first axis; gradients flow back to the rank that sent each.

    The backward pass sums the gradients of all ranks, so a loss computed from the gathered tensor on every rank has,
    after the averaging of DistributedDataParallel, the gradient of the loss of the whole batch.
    """

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor) -> torch.Tensor:
        """(*shape) on each rank to (ranks, *shape)."""
        gathered = [torch.zeros_like(tensor) for _ in range(distributed.get_world_size())]
        distributed.all_gather(gathered, tensor.contiguous())
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        """This rank's share of the summed gradient."""
        total = gradient.clone()
        distributed.all_reduce(total, op=distributed.ReduceOp.SUM)
        return total[distributed.get_rank()]
