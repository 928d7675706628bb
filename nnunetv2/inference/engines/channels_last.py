"""A copy of a torch network that runs faster on a CPU.

Channels are in the last place of memory, instance norms keep it so and include the activation, and convolutions of
3 x 3 x 3 take fewer multiplications and two parts unjoined. Results change by rounding only.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn

from nnunetv2.networks.channels_last import InstanceNormActivation, to_channels_last
from nnunetv2.networks.norms_in_place import NormActivationInPlace
from nnunetv2.networks.simple_convolutions import FewChannelsConv3d, PointwiseConv3d
from nnunetv2.networks.winograd import WinogradConv3d

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format by number of axes of a batch."""
CONVOLUTIONS = (WinogradConv3d, FewChannelsConv3d, PointwiseConv3d)


def fast_copy(network: nn.Module) -> nn.Module:
    """A copy in inference mode, on the CPU, with weights of its own under the same names.

    Modules of other classes than torch's own convolutions, instance norms and leaky ReLUs are copied as they are.
    """
    # Loads a library of networks, which importing the predictor must not.
    from nnunetv2.networks.unjoined_decoder import UnjoinedDecoder

    duplicate = to_channels_last(copy.deepcopy(network).to("cpu").eval())
    for module in list(duplicate.modules()):
        for kind in (*CONVOLUTIONS, UnjoinedDecoder):
            if kind.suits(module):
                module.__class__ = kind
        if isinstance(module, InstanceNormActivation) and _always_after_convolution(duplicate, module):
            module.__class__ = NormActivationInPlace
    return duplicate.requires_grad_(False)


def _always_after_convolution(network: nn.Module, norm: nn.Module) -> bool:
    """Whether ``norm`` is called by sequences only, on what a convolution has just made and nobody else sees."""
    sequences = [m for m in network.modules() if isinstance(m, nn.Sequential)]
    before = [pair[0] for sequence in sequences for pair in pairwise(sequence) if pair[1] is norm]
    calls = sum(child is norm for sequence in sequences for child in sequence)
    return 0 < calls == len(before) and all(isinstance(module, (nn.Conv2d, nn.Conv3d)) for module in before)
