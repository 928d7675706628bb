"""The logger of the trainer: values per epoch in memory, as metrics.csv, and in trackers that are switched on."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from nnunetv2.training.distributed import rank
from nnunetv2.training.logging.background_plot import BackgroundPlot
from nnunetv2.training.logging.local_logger import LocalLogger, epoch_argument, plain_value
from nnunetv2.training.logging.metrics_csv import per_class, write_metrics_csv
from nnunetv2.training.logging.trackers import Trackers, open_trackers
from nnunetv2.training.logging.wandb_logger import WandbLogger

__all__ = ["LocalLogger", "MetaLogger", "WandbLogger", "nnUNetLogger"]

_log = logging.getLogger(__name__)

METRICS_CSV = "metrics.csv"
PROGRESS_PNG = "progress.png"
# The trainer logs this one last in each epoch.
_LAST_KEY_OF_EPOCH = "epoch_end_timestamps"


def _plot_progress(values: Mapping[str, Any], path: str | os.PathLike) -> None:
    from nnunetv2.training.logging.progress_plot import plot_progress

    plot_progress(values, path)


class MetaLogger:
    """Hands everything to ``local_logger`` and to each of ``loggers``.

    An entry of ``loggers`` is a tracker as ``trackers`` describes it, from there or added by a trainer. What one
    raises is reported once and does not end the training. The list is empty on ranks other than 0. ``output_folder``
    may be None: then nothing is written to disk.
    ``resume`` says whether an earlier training goes on.
    """

    def __init__(self, output_folder: str | os.PathLike | None, resume: bool, verbose: bool = False):
        self.output_folder = None if output_folder is None else os.fspath(output_folder)
        self.local_logger = LocalLogger(verbose)
        self.loggers = Trackers()
        self._plots = BackgroundPlot(_plot_progress)
        if self.output_folder is not None and rank() == 0:
            self.loggers.extend(open_trackers(self.output_folder, resume))

    @property
    def my_fantastic_logging(self) -> dict[str, list]:
        """One list per key with one entry per epoch; the dictionary itself, so that keys can be added."""
        return self.local_logger.my_fantastic_logging

    def log(self, key: str, value: Any, step: int | None = None, *, epoch: int | None = None) -> None:
        """Log the value of an epoch (``step`` and ``epoch`` are the same); see ``LocalLogger.log``."""
        step = epoch_argument(step, epoch)
        self.local_logger.log(key, value, step)
        self._send(key, plain_value(value), step)
        if key == "mean_fg_dice":
            self._send("ema_fg_dice", self.local_logger.get_value("ema_fg_dice")[-1], step)
        if key == _LAST_KEY_OF_EPOCH and self.output_folder is not None and rank() == 0:
            self._write_csv()

    def _send(self, key: str, value: Any, step: int) -> None:
        single_values = per_class(key, value) if isinstance(value, list) else {key: value}
        for name, number in single_values.items():
            self.loggers.tell("log", name, number, step)

    def _write_csv(self) -> None:
        path = os.path.join(self.output_folder, METRICS_CSV)
        try:
            write_metrics_csv(self.my_fantastic_logging, path)
        except OSError as error:
            _log.warning("%s was not written: %s", path, error)

    def log_summary(self, key: str, value: Any) -> None:
        """Send one value of the whole training, such as a final score, to ``loggers``."""
        self.loggers.tell("log_summary", key, plain_value(value))

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Send settings of the training to ``loggers``."""
        self.loggers.tell("update_config", config)

    def get_value(self, key: str, step: int | None = None) -> Any:
        """The value of one epoch, or the list of all with None."""
        return self.local_logger.get_value(key, step)

    def plot_progress_png(self, output_folder: str) -> None:
        """Draw ``progress.png`` in ``output_folder``, in a thread of its own; ``wait_for_plots`` waits for it."""
        self._plots.submit(self.my_fantastic_logging, os.path.join(output_folder, PROGRESS_PNG))

    def wait_for_plots(self) -> None:
        """Return when nothing is left to be drawn."""
        self._plots.wait()

    def get_checkpoint(self) -> dict[str, list]:
        """What a checkpoint has to hold."""
        return self.local_logger.get_checkpoint()

    def load_checkpoint(self, checkpoint: Mapping[str, list]) -> None:
        """Go on from what ``get_checkpoint`` gave."""
        self.local_logger.load_checkpoint(checkpoint)


class nnUNetLogger(LocalLogger):
    """The only logger up to version 2.6. Trainers that assign one still work: there is nothing else to log to."""

    @property
    def local_logger(self) -> LocalLogger:
        """This logger."""
        return self

    @property
    def loggers(self) -> list[Any]:
        """No other loggers."""
        return []

    def wait_for_plots(self) -> None:
        """Pictures are drawn at once here."""

    def log_summary(self, key: str, value: Any) -> None:
        """Accepted and not kept: there is no place for values of the whole training."""

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Accepted and not kept, likewise."""
