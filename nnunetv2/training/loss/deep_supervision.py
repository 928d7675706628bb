"""One loss for the outputs of a network at several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

# Under DistributedDataParallel every parameter needs a gradient, so the coarsest output cannot be left out there.
WEIGHT_INSTEAD_OF_ZERO = 1e-6


def deep_supervision_scales(strides: Sequence[Sequence[int]]) -> list[list[float]]:
    """Size of each output relative to the patch, per axis, finest first.

    ``strides`` are those of all stages of the encoder, the first stage included. The last stage has no output.
    """
    return (1 / np.cumprod(np.asarray(strides, dtype=float), axis=0))[:-1].tolist()


def deep_supervision_weights(n_outputs: int, unused_need_gradient: bool = False) -> np.ndarray:
    """Weights (n_outputs,) float64 that sum to 1: each half of the one before, the last 0. A single output has 1.

    With ``unused_need_gradient`` (several processes, network not compiled) the last is tiny instead of 0.
    """
    if n_outputs < 1:
        raise ValueError(f"a network has at least one output, not {n_outputs}")
    weights = 0.5 ** np.arange(n_outputs)
    if n_outputs > 1:
        weights[-1] = WEIGHT_INSTEAD_OF_ZERO if unused_need_gradient else 0
    return weights / weights.sum()


class DeepSupervisionWrapper(nn.Module):
    """Weighted sum of ``loss`` over corresponding entries of lists.

    ``weight_factors`` has one number per output; None means 1 for each. Outputs with weight 0 are not looked at.
    """

    def __init__(self, loss: Callable[..., torch.Tensor], weight_factors: Sequence[float] | None = None):
        super().__init__()
        self.loss = loss
        self.weight_factors = None if weight_factors is None else tuple(float(w) for w in weight_factors)
        if self.weight_factors is not None and not any(self.weight_factors):
            raise ValueError(f"at least one weight must differ from 0, these do not: {self.weight_factors}")

    def forward(self, *args: Sequence[torch.Tensor]) -> torch.Tensor:
        """Loss of, for example, ``(net_outputs, targets)``, lists with the finest resolution first.

        The shortest list counts: a network may have fewer outputs than there are targets.
        """
        if not all(isinstance(arg, (list, tuple)) for arg in args):
            raise ValueError(
                f"deep supervision takes lists, one entry per resolution, not "
                f"{', '.join(type(arg).__name__ for arg in args)}"
            )
        per_output = list(zip(*args))
        weights = (1.0,) * len(per_output) if self.weight_factors is None else self.weight_factors
        if len(per_output) > len(weights):
            raise ValueError(f"{len(per_output)} outputs need as many weights, but there are {len(weights)}")
        return sum(weight * self.loss(*entries) for weight, entries in zip(weights, per_output) if weight != 0)
