"""Linear warm-up, and the polynomial decay that follows it."""

from __future__ import annotations

from torch.optim import Optimizer

from nnunetv2.training.lr_scheduler.closed_form import ClosedFormLRScheduler, require_positive
from nnunetv2.training.lr_scheduler.polylr import poly_rate


class Lin_incr_LRScheduler(ClosedFormLRScheduler):
    """max_lr / max_steps * (1 + step): ``max_lr`` is reached in step ``max_steps - 1``."""

    start_step = 0

    def __init__(self, optimizer: Optimizer, max_lr: float, max_steps: int, current_step: int | None = None):
        require_positive("max_steps", max_steps)
        self.max_lr = max_lr
        self.max_steps = max_steps
        super().__init__(optimizer, current_step)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0; 0 before the start."""
        return self.max_lr / self.max_steps * max(0, 1 + step - self.start_step)


class Lin_incr_offset_LRScheduler(Lin_incr_LRScheduler):
    """The same increase, beginning at ``start_step``."""

    def __init__(
        self, optimizer: Optimizer, max_lr: float, max_steps: int, start_step: int, current_step: int | None = None
    ):
        self.start_step = start_step
        super().__init__(optimizer, max_lr, max_steps, current_step)


class PolyLRScheduler_offset(ClosedFormLRScheduler):
    """Polynomial decay from ``initial_lr`` at ``start_step`` to 0 at ``max_steps``; constant before ``start_step``."""

    def __init__(
        self,
        optimizer: Optimizer,
        initial_lr: float,
        max_steps: int,
        start_step: int,
        exponent: float = 0.9,
        current_step: int | None = None,
    ):
        require_positive("max_steps - start_step", max_steps - start_step)
        self.initial_lr = initial_lr
        self.max_steps = max_steps
        self.start_step = start_step
        self.exponent = exponent
        super().__init__(optimizer, current_step)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        since_start = max(0, step - self.start_step)
        return poly_rate(self.initial_lr, since_start, self.max_steps - self.start_step, self.exponent)
