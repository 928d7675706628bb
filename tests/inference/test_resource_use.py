"""Time and memory of a block of work."""

import math
import time

import pytest

from nnunetv2.inference.resource_use import ResourceUse, area, host_memory_mib


def test_the_area_is_that_of_trapeziums():
    assert area([(0, 0), (2, 10), (3, 10)]) == 20
    assert area([(0, 5)]) == 0


def test_a_block_has_its_time_peak_and_area():
    values = iter([10.0, 30.0, *[20.0] * 1000])
    with ResourceUse({"gpu": lambda: next(values)}) as use:
        time.sleep(0.35)
    figures = use.figures()
    assert figures["gpu_peak_mib"] == 30
    assert 0.35 <= figures["seconds"] < 5
    assert figures["gpu_mib_seconds"] == pytest.approx(21 * figures["seconds"], rel=0.25)


def test_what_is_not_there_is_not_measured():
    with ResourceUse({"gpu": lambda: float("nan")}) as use:
        pass
    assert math.isnan(use.figures()["gpu_peak_mib"])


def test_memory_of_this_process_grows_with_what_it_holds():
    before = host_memory_mib()
    block = bytearray(64 * 2**20)
    assert math.isnan(before) or host_memory_mib() - before > 50
    del block
