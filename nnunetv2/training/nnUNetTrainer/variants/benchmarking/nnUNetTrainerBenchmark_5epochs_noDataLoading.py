"""A trainer that measures how long an epoch takes when batches cost nothing: the limit that the GPU sets."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import torch

from nnunetv2.training.nnUNetTrainer.variants.benchmarking.nnUNetTrainerBenchmark_5epochs import (
    nnUNetTrainerBenchmark_5epochs,
)


class nnUNetTrainerBenchmark_5epochs_noDataLoading(nnUNetTrainerBenchmark_5epochs):
    """The same measurement on one random batch, made once on the device and used over and over."""

    def get_dataloaders(self) -> tuple[Iterator[dict], Iterator[dict]]:
        """The random batch, endlessly, for training and for validation."""
        batch = self.random_batch()
        return (batch for _ in count()), (batch for _ in count())

    def random_batch(self) -> dict:
        """``data``, ``target`` and ``keys`` as the loader gives them, of noise."""
        patch_size = self.configuration_manager.patch_size
        scales = self._get_deep_supervision_scales()
        targets = [
            self._random_target([round(n * factor) for n, factor in zip(patch_size, factors)])
            for factors in ([[1.0] * len(patch_size)] if scales is None else scales)
        ]
        return {
            "data": torch.rand((self.batch_size, self.num_input_channels, *patch_size), device=self.device),
            "target": targets[0] if scales is None else targets,
            "keys": ["noise"] * self.batch_size,
        }

    def _random_target(self, size: list[int]) -> torch.Tensor:
        labels = self.label_manager
        if labels.has_regions:
            channels = len(labels.foreground_regions) + labels.has_ignore_label
            return torch.rand((self.batch_size, channels, *size), device=self.device) < 0.5
        noise = torch.rand((self.batch_size, 1, *size), device=self.device)
        return (noise * max(labels.all_labels)).round().to(torch.int16)
