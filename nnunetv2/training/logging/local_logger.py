"""The values of each epoch, kept in memory and stored in checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from nnunetv2.errors import UsageError

_log = logging.getLogger(__name__)

KEYS = (
    "mean_fg_dice",
    "ema_fg_dice",
    "dice_per_class_or_region",
    "train_losses",
    "val_losses",
    "lrs",
    "epoch_start_timestamps",
    "epoch_end_timestamps",
)

# Share of the past in the moving average that decides which checkpoint is the best one.
EMA_DECAY = 0.9


def plain_value(value: Any) -> Any:
    """Numpy values and tensors as Python numbers or lists of them, also inside lists and tuples; others as they are."""
    if isinstance(value, (list, tuple)):
        return [plain_value(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def next_ema(previous: float | None, value: float) -> float:
    """Exponential moving average after ``value``. An undefined (NaN) value or past has no influence."""
    if previous is None or math.isnan(previous):
        return value
    return previous if math.isnan(value) else EMA_DECAY * previous + (1 - EMA_DECAY) * value


def epoch_argument(step: int | None, epoch: int | None) -> int:
    """The one of two names for the same thing that was given; UsageError if none was, or both."""
    if (step is None) == (epoch is None):
        raise UsageError(f"give the epoch of a value once, as step or as epoch (step={step}, epoch={epoch})")
    return epoch if step is None else step


class LocalLogger:
    """One list per key with one entry per epoch, in the dictionary ``my_fantastic_logging``.

    Further keys can be logged once an empty list for them was put into the dictionary.
    """

    def __init__(self, verbose: bool = False):
        self.verbose = verbose
        self.my_fantastic_logging: dict[str, list] = {key: [] for key in KEYS}

    def log(self, key: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
        """Append ``value`` as entry of an epoch (``step`` and ``epoch`` are the same), or replace the last entry.

        Logging ``mean_fg_dice`` also logs its moving average ``ema_fg_dice``. Raises UsageError, an AssertionError,
        for unknown keys and for epochs that lie further back.
        """
        epoch = epoch_argument(step, epoch)
        if key not in self.my_fantastic_logging:
            raise UsageError(
                f"nothing is logged under {key!r}. Known keys: {', '.join(self.my_fantastic_logging)}. "
                f"For a new one set my_fantastic_logging[{key!r}] = [] first"
            )
        values = self.my_fantastic_logging[key]
        value = plain_value(value)
        _log.log(logging.INFO if self.verbose else logging.DEBUG, "epoch %d: %s = %s", epoch, key, value)
        if len(values) <= epoch:
            values.append(value)
        elif len(values) == epoch + 1:
            _log.info("epoch %d: %s was %s and is replaced by %s", epoch, key, values[epoch], value)
            values[epoch] = value
        else:
            raise UsageError(f"{key} of epoch {epoch} cannot be replaced, since {len(values)} epochs were logged")
        if key == "mean_fg_dice":
            past = self.my_fantastic_logging["ema_fg_dice"][:epoch]
            self.log("ema_fg_dice", next_ema(past[-1] if past else None, value), epoch)

    def get_value(self, key: str, step: int | None = None) -> Any:
        """The value of one epoch, or the list of all with None."""
        values = self.my_fantastic_logging[key]
        return values if step is None else values[step]

    def plot_progress_png(self, output_folder: str) -> None:
        """Draw ``progress.png`` in ``output_folder``; a full disk gives a warning only."""
        from nnunetv2.training.logging.progress_plot import plot_progress

        try:
            plot_progress(self.my_fantastic_logging, f"{output_folder}/progress.png")
        except OSError as error:
            _log.warning("progress.png was not written: %s", error)

    def get_checkpoint(self) -> dict[str, list]:
        """What a checkpoint has to hold."""
        return self.my_fantastic_logging

    def load_checkpoint(self, checkpoint: Mapping[str, list]) -> None:
        """Go on from what ``get_checkpoint`` gave. Known keys that are missing there start empty."""
        self.my_fantastic_logging = {key: [] for key in self.my_fantastic_logging} | {
            key: plain_value(values) for key, values in checkpoint.items()
        }
