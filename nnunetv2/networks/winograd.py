"""3 x 3 x 3 convolutions with fewer multiplications, for inference on CPUs: Winograd's method along the first axis.

Of ``m`` output slices, each is a sum over three input slices of 3 x 3 convolutions: 3 m of them. After a linear
transformation of the m + 2 input slices and of the kernel's three slices, m + 2 convolutions give the same
(S. Winograd, Arithmetic complexity of computations, 1980; A. Lavin and S. Gray, Fast algorithms for convolutional
neural networks, 2016). With m = 6 that is 2.25 times fewer. Both transformations of slices are small matrix products.

The work goes in strips that stay in the cache. Values equal a direct convolution's to a few roundings.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from nnunetv2.networks.shared_work import share
from nnunetv2.networks.simple_convolutions import is_fast_case

TAPS = 3
# Points at which polynomials are evaluated; with those the roundings of float32 grow least. The last is at infinity.
POINTS = (0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2))
OUTPUTS = (6, 4)
"""Slices per block that are tried, ``m`` above."""
STRIP_BYTES = 2**19
"""Of one transformed slice of a strip. Eight of them and their convolutions are in the cache together."""
# Where there is less to do than this, transforming costs more than it saves.
MIN_CHANNELS, MIN_VOXELS = 16, 2**12


class Transforms(NamedTuple):
    """Matrices with output = out (kernel g * inputs d), ``n`` = ``m`` + 2, float64."""

    inputs: torch.Tensor
    """(n, n), applied to n input slices."""
    kernel: torch.Tensor
    """(n, 3), applied to the kernel's slices."""
    outputs: torch.Tensor
    """(m, n), applied to n convolutions."""


@cache
def transforms(m: int) -> Transforms:
    """The matrices for blocks of ``m`` output slices.

    A product of polynomials is found from values at n points: evaluate, multiply, interpolate. A convolution is the
    transpose of that in one factor.
    """
    n = m + TAPS - 1
    inverse = _inverse(_evaluation(n, n))
    transposed = [[inverse[column][row] for column in range(n)] for row in range(n)]
    return Transforms(
        torch.tensor([[float(value) for value in row] for row in transposed], dtype=torch.float64),
        torch.tensor([[float(value) for value in row] for row in _evaluation(n, TAPS)], dtype=torch.float64),
        torch.tensor([[float(value) for value in row] for row in _evaluation(n, m)], dtype=torch.float64).T,
    )


def _evaluation(points: int, coefficients: int) -> list[list[Fraction]]:
    """Matrix from coefficients of a polynomial to its values at the first points and, last, at infinity."""
    finite = [[Fraction(point) ** power for power in range(coefficients)] for point in POINTS[: points - 1]]
    return [*finite, [Fraction(int(power == coefficients - 1)) for power in range(coefficients)]]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Exact inverse (Gauss, Jordan)."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for i in range(size):
            if i != column and rows[i][column]:
                rows[i] = [a - rows[i][column] * b for a, b in zip(rows[i], rows[column])]
    return [row[size:] for row in rows]


def outputs_per_block(depth: int) -> int:
    """The ``m`` with which ``depth`` slices take the fewest convolutions."""
    return min(OUTPUTS, key=lambda m: -(-depth // m) * (m + TAPS - 1))


class WinogradConv3d(nn.Conv3d):
    """A 3 x 3 x 3 convolution of many channels, stride 1. Inference only; weights may change between calls."""

    @staticmethod
    def suits(convolution: nn.Module) -> bool:
        """Whether a module can become one of these."""
        return (
            type(convolution) is nn.Conv3d
            and convolution.kernel_size == (TAPS,) * 3
            and convolution.stride == convolution.dilation == (1, 1, 1)
            and convolution.padding in ((1, 1, 1), "same")
            and convolution.padding_mode == "zeros"
            and convolution.groups == 1
            and min(convolution.in_channels, convolution.out_channels) >= MIN_CHANNELS
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.forward_joined([x]) if is_worth_it(x) else super().forward(x)

    def forward_joined(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """The convolution of the ``parts`` joined along channels, without joining them; for parts worth it."""
        size, m = parts[0].shape, outputs_per_block(parts[0].shape[2])
        kernels = self._transformed_kernels(m, tuple(part.shape[1] for part in parts))
        y = torch.empty((size[0], self.out_channels, *size[2:]), memory_format=torch.channels_last_3d)
        convolve(parts, kernels, self.bias, m, y)
        return y

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.__dict__.pop("_kernels", None)  # tensors of inference mode do not count how often they are written to
        super()._load_from_state_dict(*args, **kwargs)

    def _transformed_kernels(self, m: int, channels: tuple[int, ...]) -> list[list[torch.Tensor]]:
        """For parts of so many channels each: n kernels (K, C, 3, 3), channels last."""
        version = self.weight.data_ptr(), None if self.weight.is_inference() else self.weight._version
        known = self.__dict__.get("_kernels")
        if known is None or known[0] != (m, channels, version):
            slices = torch.einsum("nd,kcdyx->nkcyx", transforms(m).kernel, self.weight.double()).float()
            parts = [
                [kernel.contiguous(memory_format=torch.channels_last) for kernel in part]
                for part in slices.split(channels, 2)
            ]
            known = (m, channels, version), parts
            self.__dict__["_kernels"] = known
        return known[1]


def is_worth_it(x: torch.Tensor) -> bool:
    """Whether a batch is one that ``forward_joined`` takes, and large enough to gain."""
    return x.ndim == 5 and is_fast_case(x) and x[0, 0].numel() >= MIN_VOXELS and x.shape[2] >= min(OUTPUTS)


def convolve(
    parts: Sequence[torch.Tensor],
    kernels: Sequence[Sequence[torch.Tensor]],
    bias: torch.Tensor | None,
    m: int,
    y: torch.Tensor,
) -> None:
    """Write the convolution of ``parts`` (B, C, D, H, W), joined along C, into ``y`` (B, K, D, H, W), channels last.

    ``kernels``: for each part the m + 2 transformed ones, (K, C, 3, 3).
    """
    samples, outputs, depth, height, width = y.shape
    into, out = (matrix.float() for matrix in (transforms(m).inputs, transforms(m).outputs))
    out = torch.cat([out] * len(parts), 1)  # convolutions of all parts are added up by the same product
    sources, target = [_rows(part) for part in parts], _rows(y)
    rows = strip_height(height, width * max(outputs, *(part.shape[1] for part in parts)) * y.element_size())

    def work(pieces: Iterator[tuple[int, int, int]]) -> None:
        strips = [torch.empty((m + 2, rows + 2, width, part.shape[1])) for part in parts]
        convolved = torch.empty((len(parts) * (m + 2), rows, width, outputs))
        for sample, top, start in pieces:
            bottom, end = min(height, top + rows), min(depth, start + m)
            inputs = [strip[:, : bottom - top + 2] for strip in strips]
            images = convolved[:, : bottom - top]
            for source, strip in zip(sources, inputs):
                _transform_inputs(source[sample], strip, into, top, start)
            pairs = [pair for strip, part in zip(inputs, kernels) for pair in zip(strip, part)]
            for number, ((image, kernel), result) in enumerate(zip(pairs, images)):
                # What is added at the point 1 comes out in every slice as it is.
                added = bias if number == POINTS.index(1) else None
                convolution = functional.conv2d(image.permute(2, 0, 1)[None], kernel, added, padding=(0, 1))
                result.copy_(convolution[0].permute(1, 2, 0))
            _product(out[: end - start], images, target[sample, start:end, top:bottom])

    share(list(itertools.product(range(samples), range(0, height, rows), range(0, depth, m))), work)


def _rows(x: torch.Tensor) -> torch.Tensor:
    """(B, C, D, H, W), channels last in memory, as (B, D, H, W C)."""
    return x.permute(0, 2, 3, 4, 1).flatten(3)


def _transform_inputs(source: torch.Tensor, strip: torch.Tensor, matrix: torch.Tensor, top: int, start: int) -> None:
    """Fill ``strip`` (n, rows, W, C) with ``source`` (D, H, W C), one row and slice before ``top`` and ``start``.

    Outside the image there are zeros.
    """
    depth, height = source.shape[:2]
    first, last = max(0, top - 1), min(height, top - 1 + strip.shape[1])
    low, high = max(0, start - 1), min(depth, start - 1 + len(strip))
    if first == top:
        strip[:, 0] = 0
    if last < top - 1 + strip.shape[1]:
        strip[:, -1] = 0
    inside = strip[:, first - top + 1 : last - top + 1]
    _product(matrix[:, low - start + 1 : high - start + 1], source[low:high, first:last], inside)


def _product(matrix: torch.Tensor, slices: torch.Tensor, result: torch.Tensor) -> None:
    """``result`` = ``matrix`` times ``slices``; each slice is one piece of memory."""
    torch.mm(matrix, slices.flatten(1), out=result.view(len(result), -1))


def strip_height(height: int, bytes_per_row: int) -> int:
    """Rows of a strip: all strips nearly equal, none much larger than STRIP_BYTES."""
    strips = max(1, round(height * bytes_per_row / STRIP_BYTES))
    return -(-height // strips)
