"""Networks for CPUs: weights and activations channels-last, instance norm and leaky ReLU in one pass of that layout.

oneDNN's convolutions work on channels-last arrays as they are; for the usual layout it copies every input and output.
torch's own instance norm would undo that with copies of its own, so here is one that keeps the layout, works on pieces
that fit into a core's cache, and includes the activation after it. Values equal torch's to rounding.

Legend: ``x`` (B, C, *spatial), dense in channels-last layout; "rows" are its (B, S, C) view, S the number of voxels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

# Elements per piece and thread: 128 KiB in float32, and torch gives a thread no fewer elements than this.
PIECE = 2**15

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


def channels_last_format(patch_size: Sequence[int]) -> torch.memory_format:
    """The channels-last format of patches with 2 or 3 axes."""
    return _FORMATS[len(patch_size) + 2]


def to_channels_last(network: nn.Module) -> nn.Module:
    """Change ``network`` in place to channels-last weights, and its instance norms to ``InstanceNormActivation``.

    Names, values and order of parameters stay as they are, so checkpoints and optimizers do not notice. Norms with
    running statistics, and classes derived from torch's, are left alone.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    for parent in list(network.modules()):
        children = list(parent._modules.items())
        for place, (name, child) in enumerate(children):
            if not _is_plain_instance_norm(child):
                continue
            follower = children[place + 1] if isinstance(parent, nn.Sequential) and place + 1 < len(children) else None
            if child not in replacements:
                replacements[child] = InstanceNormActivation(child)
            parent._modules[name] = replacements[child]
            if follower is not None and type(follower[1]) is nn.LeakyReLU and _only_in_sequence(network, child, parent):
                replacements[child].negative_slope = float(follower[1].negative_slope)
                parent._modules[follower[0]] = nn.Identity()
    for parameter in network.parameters():
        if parameter.ndim in _FORMATS:
            # Not ``contiguous``: for one input channel that is no change, and convolutions go by the strides.
            memory_format = _FORMATS[parameter.ndim]
            parameter.data = torch.empty_like(parameter.data, memory_format=memory_format).copy_(parameter.data)
    return network


def _is_plain_instance_norm(module: nn.Module | None) -> bool:
    return type(module) in (nn.InstanceNorm2d, nn.InstanceNorm3d) and not module.track_running_stats


def _only_in_sequence(network: nn.Module, norm: nn.Module, sequence: nn.Module) -> bool:
    """Whether no other sequence calls ``norm``, perhaps without the activation that follows it in this one."""
    sequences = (m for m in network.modules() if isinstance(m, nn.Sequential))
    return all(other is sequence or all(child is not norm for child in other) for other in sequences)


class InstanceNormActivation(nn.Module):
    """The instance norm ``norm`` with its own parameters, followed by a leaky ReLU if ``negative_slope`` is set."""

    def __init__(self, norm: Any):
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.negative_slope: float | None = None

    def extra_repr(self) -> str:
        """Number of channels, and the slope."""
        channels = "no parameters" if self.weight is None else f"{len(self.weight)} channels"
        return f"{channels}, eps={self.eps}, negative_slope={self.negative_slope}"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalised and activated ``x``, same shape, dtype and layout."""
        if _keeps_layout(x):
            return _NormAndActivate.apply(x, self.weight, self.bias, self.eps, self.negative_slope)
        normed = functional.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)
        return normed if self.negative_slope is None else functional.leaky_relu(normed, self.negative_slope)


def _keeps_layout(x: torch.Tensor) -> bool:
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.bfloat16) or torch.jit.is_tracing():
        return False
    return x.ndim in _FORMATS and x.is_contiguous(memory_format=_FORMATS[x.ndim])


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1).flatten(1, -2)


def _pieces(rows: torch.Tensor) -> range:
    """Starts of the pieces of one sample, and as ``step`` their length."""
    return range(0, len(rows), max(1, PIECE * torch.get_num_threads() // rows.shape[1]))


def _moments(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (float64, per channel) of the ``rows`` (S, C) of one sample.

    Sums of single pieces are in float32, about a mean of the first piece, and are added in float64.
    """
    pieces = _pieces(rows)
    origin = rows[: pieces.step].float().mean(0)
    total, squares = rows.new_zeros((2, rows.shape[1]), dtype=torch.float64)
    for start in pieces:
        centred = rows[start : start + pieces.step].float() - origin
        total += centred.sum(0)
        squares += centred.square_().sum(0)
    mean = total / len(rows)
    return mean + origin, (squares / len(rows) - mean * mean).clamp_min_(0)


class _NormAndActivate(torch.autograd.Function):
    """y = a(w (x - mean) / sqrt(var + eps) + b), a the leaky ReLU or nothing; statistics per sample and channel."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, eps: float, slope: float | None) -> torch.Tensor:
        y = torch.empty_like(x)
        means, factors = x.new_empty((2, *x.shape[:2]), dtype=torch.float64)
        for source, target, mean, factor in zip(_rows(x), _rows(y), means, factors):
            mean[:], variance = _moments(source)
            torch.rsqrt(variance + eps, out=factor)
            scale = factor if weight is None else factor * weight
            offset = (-mean * scale if bias is None else bias - mean * scale).float()
            scale, pieces = scale.float(), _pieces(source)
            for start in pieces:
                piece = slice(start, start + pieces.step)
                out = target[piece] if target.dtype == torch.float32 else torch.empty(target[piece].shape)
                torch.addcmul(offset, source[piece].float(), scale, out=out)
                if slope is not None:
                    functional.leaky_relu_(out, slope)
                if out.dtype != target.dtype:
                    target[piece] = out
        ctx.save_for_backward(x, y if slope is not None else None, weight, means, factors)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        x, y, weight, means, factors = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=_FORMATS[x.ndim])
        result = torch.empty_like(x)
        weight_gradient, bias_gradient = x.new_zeros((2, x.shape[1]), dtype=torch.float64)
        outputs = [None] * len(x) if y is None else _rows(y)
        for *arrays, mean, factor in zip(_rows(x), outputs, _rows(gradient), _rows(result), means, factors):
            sums = _gradient_of_sample(*arrays, mean, factor, weight, ctx.slope)
            bias_gradient += sums[0]
            weight_gradient += sums[1]
        if weight is None:
            return result, None, None, None, None
        return result, weight_gradient.to(weight.dtype), bias_gradient.to(weight.dtype), None, None


def _gradient_of_sample(
    source: torch.Tensor,
    output: torch.Tensor | None,
    gradient: torch.Tensor,
    result: torch.Tensor,
    mean: torch.Tensor,
    factor: torch.Tensor,
    weight: torch.Tensor | None,
    slope: float | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Write the gradient of ``source`` into ``result`` (all (S, C)); return those of bias and weight (C,), float64."""
    pieces, centre = _pieces(source), mean.float()
    total, product = mean.new_zeros((2, len(mean)))
    for start in pieces:
        piece = slice(start, start + pieces.step)
        if output is None:
            inner = result[piece].copy_(gradient[piece])
        else:
            # The sign of the output is that of the activation's input, so the input need not be kept.
            inner = torch.ops.aten.leaky_relu_backward.grad_input(
                gradient[piece], output[piece], slope, True, grad_input=result[piece]
            )
        inner = inner.float()
        total += inner.sum(0)
        product += (source[piece].float() - centre).mul_(inner).sum(0)
    product *= factor
    # dx = w f (g - mean(g) - (x - m) f mean(g (x - m) f)), as a g + b x + c
    slope_g = factor if weight is None else factor * weight
    slope_x = -slope_g * factor * product / len(source)
    offset = (-slope_g * total / len(source) - slope_x * mean).float()
    slope_g, slope_x = slope_g.float(), slope_x.float()
    for start in pieces:
        piece = slice(start, start + pieces.step)
        inner = result[piece].float().mul_(slope_g).add_(offset).addcmul_(source[piece].float(), slope_x)
        if inner.dtype != result.dtype:
            result[piece] = inner
    return total, product
