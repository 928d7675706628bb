"""Base of schedulers that give the learning rate of any step by a formula."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class ClosedFormLRScheduler(LRScheduler):
    """Sets the same learning rate in all parameter groups; subclasses implement ``learning_rate``.

    The learning rate of ``current_step`` (default 0) is set at once. Nothing has to be restored when training is
    resumed, since ``step(epoch)`` depends on its argument only.
    """

    def __init__(self, optimizer: Optimizer, current_step: int | None = None):
        self.ctr = 0 if current_step is None or current_step < 0 else current_step
        super().__init__(optimizer)

    def learning_rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        raise TypeError(f"{type(self).__name__} does not define learning_rate(step)")

    def step(self, current_step: int | None = None) -> None:
        """Set the learning rate of ``current_step``; of the step after the one counted last for None or -1.

        Only calls without a step are counted.
        """
        if current_step is None or current_step == -1:
            current_step = self.ctr
            self.ctr += 1
        rate = self.learning_rate(current_step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.last_epoch = current_step
        self._last_lr = [rate] * len(self.optimizer.param_groups)


def require_positive(name: str, value: float) -> None:
    """Raise ValueError unless ``value``, the length of a schedule in steps, is positive."""
    if value <= 0:
        raise ValueError(f"{name} is {value}; a schedule needs at least one step")
