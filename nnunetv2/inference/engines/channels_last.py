"""A copy of a torch network that runs faster on a CPU: channels in the last place of memory, and norms that keep it so.

Convolutions are faster in that layout. torch's instance norm rearranges its input and loses the layout; for one sample
it is a batch norm by the sample's own statistics, which keeps it. Results change by rounding only.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn import functional

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format by number of axes of a batch."""


class LayoutKeepingInstanceNorm2d(nn.InstanceNorm2d):
    """InstanceNorm2d without statistics of its own, sample by sample as a batch norm."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return _instance_norm(batch, self)


class LayoutKeepingInstanceNorm3d(nn.InstanceNorm3d):
    """InstanceNorm3d without statistics of its own, sample by sample as a batch norm."""

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return _instance_norm(batch, self)


_REPLACEMENTS: dict[type, type] = {
    nn.InstanceNorm2d: LayoutKeepingInstanceNorm2d,
    nn.InstanceNorm3d: LayoutKeepingInstanceNorm3d,
}


def _instance_norm(batch: torch.Tensor, norm: nn.InstanceNorm2d | nn.InstanceNorm3d) -> torch.Tensor:
    if batch.ndim not in FORMATS:  # a sample without batch axis
        return functional.instance_norm(batch, weight=norm.weight, bias=norm.bias, eps=norm.eps)
    samples = [
        functional.batch_norm(sample, None, None, norm.weight, norm.bias, True, 0.0, norm.eps)
        for sample in batch.split(1)
    ]
    return samples[0] if len(samples) == 1 else torch.cat(samples)


def fast_copy(network: nn.Module) -> nn.Module:
    """A copy in inference mode, on the CPU, with weights of its own under the same names.

    Modules of other classes than torch's own instance norms are copied as they are.
    """
    duplicate = copy.deepcopy(network).to("cpu").eval()
    for module in duplicate.modules():
        replacement = _REPLACEMENTS.get(type(module))
        if replacement is not None and not module.track_running_stats:
            module.__class__ = replacement
    for axes, layout in FORMATS.items():
        for module in duplicate.modules():
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.ndim == axes:
                weight.data = weight.data.contiguous(memory_format=layout)
    return duplicate.requires_grad_(False)
