"""A trainer whose learning rate rises before it falls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnunetv2.errors import UsageError
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.lr_scheduler.warmup import Lin_incr_LRScheduler, PolyLRScheduler_offset
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

WARMUP, TRAIN = "warmup_all", "train"


class nnUNetTrainer_warmup(nnUNetTrainer):
    """Raises the learning rate linearly for 50 epochs, then lets it fall polynomially from there to the last epoch.

    ``training_stage`` names the stage whose optimizer and schedule are in use: ``"warmup_all"`` or ``"train"``.
    """

    warmup_duration_whole_net = 50
    training_stage: str | None = None

    def configure_optimizers(self, stage: str = WARMUP):
        """Optimizer and schedule of a stage. ``"train"`` goes on with the optimizer there is, and its momentum.

        Raises UsageError for another stage.
        """
        if stage not in (WARMUP, TRAIN):
            raise UsageError(f"stage is {stage!r}; a training has the stages {WARMUP!r} and {TRAIN!r}")
        if stage == TRAIN and self.optimizer is not None:
            optimizer = self.optimizer
        else:
            optimizer, _ = super().configure_optimizers()
        self.training_stage = stage
        if stage == WARMUP:
            return optimizer, Lin_incr_LRScheduler(optimizer, self.initial_lr, self.warmup_duration_whole_net)
        start = self.warmup_duration_whole_net
        return optimizer, PolyLRScheduler_offset(optimizer, self.initial_lr, self.num_epochs, start)

    def stage_of(self, epoch: int) -> str:
        """The stage an epoch belongs to. A training no longer than the warm-up consists of nothing else."""
        return TRAIN if self.warmup_duration_whole_net <= epoch < self.num_epochs else WARMUP

    def _enter_stage(self, epoch: int) -> None:
        stage = self.stage_of(epoch)
        if stage != self.training_stage:
            self.optimizer, self.lr_scheduler = self.configure_optimizers(stage)
            self.print_to_log_file(f"Epoch {epoch} begins the stage {stage}.")

    def on_train_epoch_start(self) -> None:
        """Change the stage when it is time, then as usual."""
        self._enter_stage(self.current_epoch)
        super().on_train_epoch_start()

    def load_checkpoint(self, filename_or_checkpoint: Any = None, checkpoint: Any = None) -> None:
        """As usual, in the stage of the checkpoint: subclasses may have an optimizer for each."""
        source = checkpoint if filename_or_checkpoint is None else filename_or_checkpoint
        content = source if isinstance(source, Mapping) else read_checkpoint(source)
        if not self.was_initialized:
            self.initialize()
        self._enter_stage(content["current_epoch"])
        super().load_checkpoint(source)
