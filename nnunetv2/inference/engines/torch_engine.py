"""The torch engine: always there, on every device."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from nnunetv2.inference import network_calls
from nnunetv2.inference.engines.channels_last import FORMATS, fast_copy
from nnunetv2.inference.engines.contract import VOXELS_PER_BATCH

logger = logging.getLogger(__name__)


class TorchEngine:
    """One network, into which the weights of a fold are loaded when its turn comes.

    Memory: all folds' weights and the network; on a CPU one more copy of the weights, laid out for it.
    """

    name = "torch"

    def __init__(
        self, network: Any, parameters: Sequence[Mapping[str, torch.Tensor]], device: torch.device, precision: str
    ):
        self.precision = precision
        self._device = device
        self._parameters = parameters
        self._fold: int | None = None
        self.voxels_per_batch = VOXELS_PER_BATCH if isinstance(network, torch.nn.Module) else 0
        self._network, self._rearranged = network, False
        if network_calls.is_plain(network) and device.type == "cpu":
            try:
                self._network, self._rearranged = fast_copy(network), True
            except TypeError as error:  # it holds what cannot be copied, such as a lock
                logger.debug("The network is used as it is: %s", error)

    def prepare(self, fold: int, shape: tuple[int, ...]) -> None:
        """Nothing to wait for: loading weights takes milliseconds."""

    def select(self, fold: int) -> None:
        """Load the weights of this fold, whatever the network holds."""
        network_calls.load_weights(self._network, self._parameters[fold])
        self._fold = fold

    def predict(self, fold: int, tiles: torch.Tensor, precision: str | None = None) -> torch.Tensor:
        """Logits of tiles on the device."""
        if fold != self._fold:
            self.select(fold)
        if self._rearranged and tiles.ndim in FORMATS:
            # Not ``contiguous``: for one channel that is no change, and convolutions go by the strides.
            tiles = torch.empty_like(tiles, memory_format=FORMATS[tiles.ndim]).copy_(tiles)
        with torch.inference_mode(), network_calls.autocast(self._device, precision or self.precision):
            logits = network_calls.call(self._network, tiles)
        return logits.float().contiguous() if self._device.type == "cpu" else logits
