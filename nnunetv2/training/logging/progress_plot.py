"""The picture of a training: losses and Dice, seconds per epoch, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnunetv2.records.files import PathLike, atomic_path

# 1500 x 2700 pixels: readable, and drawn in a fraction of a second after every epoch.
SIZE_INCHES = (15, 27)
DPI = 100

_PLOTTED = (
    "train_losses",
    "val_losses",
    "mean_fg_dice",
    "ema_fg_dice",
    "epoch_start_timestamps",
    "epoch_end_timestamps",
    "lrs",
)


def finite_series(values_per_epoch: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """The plotted keys as float64 arrays, as long as the shortest of them; NaN, a gap, for what is not finite."""
    length = min(len(values_per_epoch[key]) for key in _PLOTTED)
    arrays = {key: np.asarray(values_per_epoch[key][:length], dtype=np.float64) for key in _PLOTTED}
    return {key: np.where(np.isfinite(array), array, np.nan) for key, array in arrays.items()}


def _line(axes: Axes, values: np.ndarray, color: str, label: str, style: str = "-") -> None:
    # A line through a single epoch would be invisible.
    marker = "o" if np.isfinite(values).sum() == 1 else None
    axes.plot(np.arange(len(values)), values, style, marker=marker, color=color, label=label, linewidth=2)


def _losses_and_dice(axes: Axes, series: Mapping[str, np.ndarray]) -> None:
    _line(axes, series["train_losses"], "blue", "training loss")
    _line(axes, series["val_losses"], "red", "validation loss")
    axes.set_ylabel("loss")
    right = axes.twinx()
    _line(right, series["mean_fg_dice"], "green", "pseudo Dice", ":")
    _line(right, series["ema_fg_dice"], "green", "pseudo Dice (moving average)")
    right.set_ylabel("pseudo Dice")
    # Losses fall and Dice rises, which leaves room at half height on the right.
    right.legend(handles=[*axes.get_lines(), *right.get_lines()], loc="center right")


def _seconds_per_epoch(axes: Axes, series: Mapping[str, np.ndarray]) -> None:
    _line(axes, series["epoch_end_timestamps"] - series["epoch_start_timestamps"], "blue", "duration of the epoch")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds")
    axes.legend(loc="lower left")


def _learning_rate(axes: Axes, series: Mapping[str, np.ndarray]) -> None:
    _line(axes, series["lrs"], "blue", "learning rate")
    axes.set_ylabel("learning rate")
    axes.legend(loc="lower left")


def draw_progress(values_per_epoch: Mapping[str, Sequence[float]]) -> Figure:
    """Figure with one panel below the other. Touches no global state of matplotlib, so any thread may call it."""
    series = finite_series(values_per_epoch)
    figure = Figure(figsize=SIZE_INCHES, dpi=DPI)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.06, right=0.94, bottom=0.03, top=0.98, hspace=0.1)
    for axes, draw in zip(figure.subplots(3, 1), (_losses_and_dice, _seconds_per_epoch, _learning_rate)):
        draw(axes, series)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    return figure


def plot_progress(values_per_epoch: Mapping[str, Sequence[float]], path: PathLike) -> None:
    """Draw the curves and write them to ``path`` (its ending says the format), atomically."""
    figure = draw_progress(values_per_epoch)
    with atomic_path(path) as temporary:
        figure.savefig(temporary)
