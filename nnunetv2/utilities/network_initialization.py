"""Weight initialization of convolutions."""

from __future__ import annotations

from torch import nn


class InitWeights_He:
    """He et al. (2015) normal initialization for leaky ReLU of slope ``neg_slope``; biases 0. For ``network.apply``."""

    def __init__(self, neg_slope: float = 1e-2):
        self.neg_slope = neg_slope

    def __call__(self, module: nn.Module) -> None:
        convolutions = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)
        if isinstance(module, convolutions):
            nn.init.kaiming_normal_(module.weight, a=self.neg_slope)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
