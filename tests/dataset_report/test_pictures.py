"""Histograms and distributions."""

import io
import re

from matplotlib.image import imread

from nnunetv2.dataset_report.outliers import find_outliers
from nnunetv2.dataset_report.page import Report, page_of
from nnunetv2.dataset_report.pictures import common_range, distributions_png, histogram_svg
from tests.dataset_report.test_outliers import NAMES, facts


def points(svg: str) -> list[tuple[float, float]]:
    return [tuple(map(float, pair.split(","))) for pair in re.search(r'points="([^"]*)"', svg)[1].split()]


def test_a_histogram_over_its_own_range_fills_the_width_and_over_twice_the_range_half_of_it():
    (channel,) = facts(0).channels
    own = common_range([channel])
    assert own == (channel.percentile_00_5, channel.percentile_99_5)
    whole = points(histogram_svg(channel, own))
    assert len(whole) == 64
    assert whole[0][0] < 3 and whole[-1][0] > 177
    doubled = points(histogram_svg(channel, (own[0], 2 * own[1] - own[0])))
    assert doubled[-1][0] < 91


def test_the_common_range_holds_all_channels():
    channels = [facts(index).channels[0] for index in range(5)]
    low, high = common_range(channels)
    assert all(low <= channel.percentile_00_5 and channel.percentile_99_5 <= high for channel in channels)


def test_marked_cases_are_red_in_the_distributions():
    cases = [facts(index) for index in range(8)]
    plain = imread(io.BytesIO(distributions_png(cases, NAMES, {})), format="png")
    cases[3] = facts(3, shape=(500, 100, 100))
    marks = find_outliers(cases, NAMES)
    assert list(marks) == ["case_3"]
    marked = imread(io.BytesIO(distributions_png(cases, NAMES, marks)), format="png")
    red = [((p[..., 0] > 0.7) & (p[..., 1] < 0.4)).sum() for p in (plain, marked)]
    assert red[0] == 0 < red[1]


def test_a_case_of_other_intensities_does_not_squeeze_the_histograms_of_the_others():
    cases = [facts(index) for index in range(12)]
    strange = facts(12, intensities={"percentile_99_5": 400_000.0, "maximum": 900_000.0})
    marks = find_outliers([*cases, strange], NAMES)
    text = page_of(Report("X", [*cases, strange], NAMES, ["CT"], marks, {}))
    widths = [points(svg)[-1][0] - points(svg)[0][0] for svg in re.findall(r"<svg.*?</svg>", text)]
    assert len(widths) == 13
    assert min(widths) > 160
