"""3D convolutions that are products of matrices or 2D convolutions, for inference on CPUs.

torch sends the first and the last convolution of a U-Net to a kernel that unfolds the image, which takes ten times
longer than these. Values equal torch's to rounding.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
MAX_CHANNELS = 8
"""Of an image whose neighbouring slices are taken for channels."""


class PointwiseConv3d(nn.Conv3d):
    """A 1 x 1 x 1 convolution with stride 1 in one group: one matrix product, result in the usual layout."""

    @staticmethod
    def suits(convolution: nn.Module) -> bool:
        """Whether a module can become one of these."""
        return (
            type(convolution) is nn.Conv3d
            and convolution.kernel_size == convolution.stride == (1, 1, 1)
            and convolution.padding in ((0, 0, 0), "valid", "same")
            and convolution.groups == 1
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 5 or not is_fast_case(x):
            return super().forward(x)
        weight = self.weight.flatten(1)
        y = torch.empty((len(x), self.out_channels, *x.shape[2:]))
        for source, target in zip(x, y):
            rows = source.movedim(0, -1).flatten(0, 2)
            product = target.view(self.out_channels, -1)
            if self.bias is None:
                torch.mm(weight, rows.T, out=product)
            else:
                torch.addmm(self.bias[:, None], weight, rows.T, out=product)
        return y


class FewChannelsConv3d(nn.Conv3d):
    """A 3 x 3 x 3 convolution of few channels, stride 1: a 2D convolution of three slices' channels."""

    @staticmethod
    def suits(convolution: nn.Module) -> bool:
        """Whether a module can become one of these."""
        return (
            type(convolution) is nn.Conv3d
            and convolution.kernel_size == (3, 3, 3)
            and convolution.stride == convolution.dilation == (1, 1, 1)
            and convolution.padding in ((1, 1, 1), "same")
            and convolution.padding_mode == "zeros"
            and convolution.groups == 1
            and convolution.in_channels <= MAX_CHANNELS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.ndim != 5 or not is_fast_case(x):
            return super().forward(x)
        # (K, C, 3, 3, 3) to (K, 3 C, 3, 3), and (B, C, D, H, W) to (B D, 3 C, H, W): slices before, here and behind.
        kernel = self.weight.transpose(1, 2).flatten(1, 2).contiguous(memory_format=torch.channels_last)
        slices = functional.pad(x.permute(0, 2, 3, 4, 1), (0, 0, 0, 0, 0, 0, 1, 1))
        neighbours = torch.cat([slices[:, :-2], slices[:, 1:-1], slices[:, 2:]], -1).flatten(0, 1)
        y = functional.conv2d(neighbours.permute(0, 3, 1, 2), kernel, self.bias, padding=1)
        return y.unflatten(0, (len(x), x.shape[2])).transpose(1, 2)


def is_fast_case(x: torch.Tensor) -> bool:
    """Whether ``x`` is a float32 batch (B, C, *spatial) in channels-last layout on the CPU, without gradients."""
    return (
        x.ndim in FORMATS
        and x.dtype == torch.float32
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()
        and x.is_contiguous(memory_format=FORMATS[x.ndim])
    )
