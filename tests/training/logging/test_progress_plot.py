"""progress.png for any number of epochs and any values."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from nnunetv2.training.logging.local_logger import LocalLogger
from nnunetv2.training.logging.progress_plot import draw_progress, finite_series, plot_progress


def values_of(epochs: int) -> dict[str, list]:
    logger = LocalLogger()
    for epoch in range(epochs):
        logger.log("epoch_start_timestamps", 100.0 * epoch, epoch)
        logger.log("lrs", 0.01, epoch)
        logger.log("train_losses", -0.1 * epoch, epoch)
        logger.log("val_losses", -0.05 * epoch, epoch)
        logger.log("mean_fg_dice", 0.1 * epoch, epoch)
        logger.log("epoch_end_timestamps", 100.0 * epoch + 60, epoch)
    return logger.my_fantastic_logging


@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_picture_is_written_for_any_number_of_epochs(tmp_path, epochs):
    plot_progress(values_of(epochs), tmp_path / "progress.png")
    assert (tmp_path / "progress.png").read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["progress.png"]


def test_three_panels_show_the_logged_values():
    figure = draw_progress(values_of(4))
    losses, seconds, rate, dice = figure.axes  # the twin axes come last
    assert losses.lines[0].get_ydata() == pytest.approx([0, -0.1, -0.2, -0.3])
    assert losses.lines[1].get_ydata() == pytest.approx([0, -0.05, -0.1, -0.15])
    assert dice.lines[0].get_ydata() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert dice.lines[0].get_linestyle() == ":"
    assert seconds.lines[0].get_ydata().tolist() == [60] * 4
    assert seconds.get_ylim()[0] == 0
    assert rate.lines[0].get_ydata().tolist() == [0.01] * 4


def test_values_that_are_not_finite_leave_a_gap(tmp_path):
    values = values_of(4)
    values["train_losses"][1] = math.inf
    values["mean_fg_dice"][:] = [math.nan] * 4
    assert np.isnan(finite_series(values)["train_losses"]).tolist() == [False, True, False, False]
    plot_progress(values, tmp_path / "progress.png")
    assert (tmp_path / "progress.png").stat().st_size > 1000


def test_shortest_list_says_how_many_epochs_are_shown():
    values = values_of(4)
    values["epoch_end_timestamps"].pop()
    assert {len(array) for array in finite_series(values).values()} == {3}


def test_a_single_epoch_is_visible():
    assert draw_progress(values_of(1)).axes[0].lines[0].get_marker() == "o"


def test_global_state_of_matplotlib_is_not_used():
    before = sys.modules.get("matplotlib.pyplot")
    draw_progress(values_of(2))
    assert sys.modules.get("matplotlib.pyplot") is before


def test_failed_drawing_leaves_the_old_picture(tmp_path):
    (tmp_path / "progress.png").write_bytes(b"old")
    values = values_of(2)
    values["lrs"] = ["not a number"] * 2
    with pytest.raises(ValueError, match="could not convert"):
        plot_progress(values, tmp_path / "progress.png")
    assert (tmp_path / "progress.png").read_bytes() == b"old"
