"""Polynomial decay of the learning rate."""

from __future__ import annotations

from torch.optim import Optimizer

from nnunetv2.training.lr_scheduler.closed_form import ClosedFormLRScheduler, require_positive


def poly_rate(initial_lr: float, step: int, max_steps: int, exponent: float) -> float:
    """initial_lr * (1 - step / max_steps) ** exponent; 0 from ``max_steps`` on (Chen et al., DeepLab, 2016)."""
    return initial_lr * max(0.0, 1 - step / max_steps) ** exponent


class PolyLRScheduler(ClosedFormLRScheduler):
    """initial_lr * (1 - step / max_steps) ** exponent, 0 beyond the end."""

    def __init__(
        self,
        optimizer: Optimizer,
        initial_lr: float,
        max_steps: int,
        exponent: float = 0.9,
        current_step: int | None = None,
    ):
        require_positive("max_steps", max_steps)
        self.initial_lr = initial_lr
        self.max_steps = max_steps
        self.exponent = exponent
        super().__init__(optimizer, current_step)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        return poly_rate(self.initial_lr, step, self.max_steps, self.exponent)
