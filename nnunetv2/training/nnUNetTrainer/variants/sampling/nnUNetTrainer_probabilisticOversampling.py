"""Trainers that decide by chance which patches are centred on foreground, instead of by position in the batch."""

from __future__ import annotations

from nnunetv2.training.dataloading.patch_sampling import is_forced_by_position
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def forced_fraction(batch_size: int, requested: float) -> float:
    """Share of a batch that is centred on foreground when positions decide: 0.5 for 2 samples and 0.33 requested."""
    return sum(is_forced_by_position(i, batch_size, requested) for i in range(batch_size)) / batch_size


class nnUNetTrainer_probabilisticOversampling(nnUNetTrainer):
    """Each patch is centred on foreground with the probability that equals the default's share for this batch size.

    ``oversample_foreground_percent`` is None until ``initialize`` computes it from the batch size of the plans. A
    number set by a subclass is the probability itself. Every process of a distributed training uses the same one.
    """

    probabilistic_oversampling = True
    oversample_foreground_percent: float | None = None

    def _set_batch_size_and_oversample(self) -> None:
        if self.oversample_foreground_percent is None:
            self.oversample_foreground_percent = forced_fraction(
                self.configuration_manager.batch_size, nnUNetTrainer.oversample_foreground_percent
            )
        super()._set_batch_size_and_oversample()


class nnUNetTrainer_probabilisticOversampling_033(nnUNetTrainer_probabilisticOversampling):
    """Each patch is centred on foreground with probability 0.33."""

    oversample_foreground_percent = 0.33


class nnUNetTrainer_probabilisticOversampling_010(nnUNetTrainer_probabilisticOversampling):
    """Each patch is centred on foreground with probability 0.1."""

    oversample_foreground_percent = 0.1
