"""Pictures drawn in a thread: the latest wins, failures are said once, nothing is drawn after the wait."""

from __future__ import annotations

import logging
import threading

from nnunetv2.training.logging.background_plot import BackgroundPlot


def test_only_the_latest_of_waiting_pictures_is_drawn():
    started, go, drawn = threading.Event(), threading.Event(), []

    def draw(values, path):
        started.set()
        go.wait(10)
        drawn.append(values["n"])

    plot = BackgroundPlot(draw)
    plot.submit({"n": 0}, "a.png")
    assert started.wait(10)
    for n in (1, 2, 3):
        plot.submit({"n": n}, "a.png")
    go.set()
    plot.wait()
    assert drawn == [0, 3]


def test_values_are_those_of_the_moment_of_asking():
    go, drawn = threading.Event(), []

    def draw(values, path):
        go.wait(10)
        drawn.append(list(values["losses"]))

    plot, values = BackgroundPlot(draw), {"losses": [1.0]}
    plot.submit(values, "a.png")
    values["losses"].append(2.0)
    go.set()
    plot.wait()
    assert drawn == [[1.0]]


def test_a_failure_is_reported_once_and_drawing_goes_on(caplog):
    calls = []

    def draw(values, path):
        calls.append(values)
        raise OSError("disk full")

    plot = BackgroundPlot(draw)
    with caplog.at_level(logging.WARNING, logger="nnunetv2"):
        for n in range(3):
            plot.submit({"n": n}, "a.png")
            plot.wait()
    assert len(calls) == 3
    assert caplog.text.count("a.png was not drawn: disk full") == 1


def test_waiting_for_nothing_returns():
    BackgroundPlot(lambda values, path: None).wait()
