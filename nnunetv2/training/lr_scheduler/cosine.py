"""Decay of the learning rate along half a cosine."""

from __future__ import annotations

import math

from torch.optim import Optimizer

from nnunetv2.training.lr_scheduler.closed_form import ClosedFormLRScheduler, require_positive


class CosineLRScheduler(ClosedFormLRScheduler):
    """initial_lr * (1 + cos(pi * step / max_steps)) / 2, 0 beyond the end (Loshchilov and Hutter, SGDR, 2017)."""

    def __init__(self, optimizer: Optimizer, initial_lr: float, max_steps: int, current_step: int | None = None):
        require_positive("max_steps", max_steps)
        self.initial_lr = initial_lr
        self.max_steps = max_steps
        super().__init__(optimizer, current_step)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return self.initial_lr * (1 + math.cos(math.pi * min(1.0, step / self.max_steps))) / 2
