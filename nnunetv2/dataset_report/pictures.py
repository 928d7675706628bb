"""Pictures of the page: histograms as SVG, and the distributions over all cases as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nnunetv2.dataset_report.case_facts import CaseFacts, Intensities
from nnunetv2.dataset_report.outliers import Mark, compared_by_logarithm, quantities

_WIDTH, _HEIGHT = 180, 54
_NAMES_PER_ROW = 4
"""With more marked cases in a row their names would cover each other, and are left out."""
_LOGARITHMIC_FROM = 20
"""Ratio of the largest and the smallest value from which an axis of ratios is logarithmic."""


def common_range(channels: Sequence[Intensities]) -> tuple[float, float]:
    """Intensities over which the histograms of one channel are drawn: percentiles 0.5 to 99.5 of all ``channels``."""
    low = min(channel.percentile_00_5 for channel in channels)
    high = max(channel.percentile_99_5 for channel in channels)
    return low, high if high > low else low + 1


def histogram_svg(channel: Intensities, shown: tuple[float, float]) -> str:
    """Curves of all voxels and of the labelled ones over the intensities ``shown``; heights are logarithmic."""
    edges = channel.percentile_00_5, max(channel.percentile_99_5, channel.percentile_00_5 + 1e-6)
    centres = np.linspace(*edges, 2 * len(channel.histogram) + 1)[1::2]
    x = (centres - shown[0]) / (shown[1] - shown[0]) * _WIDTH
    highest = math.log1p(max(channel.histogram))
    curves = []
    for kind, counts in (("all", channel.histogram), ("labelled", channel.foreground_histogram)):
        if not counts:
            continue
        y = _HEIGHT - np.log1p(counts) / max(highest, 1e-6) * (_HEIGHT - 2)
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y) if -1 <= a <= _WIDTH + 1)
        curves.append(f'<polyline class="{kind}" points="{line}"/>')
    return f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}">{"".join(curves)}</svg>'


def distributions_png(
    cases: Sequence[CaseFacts], label_names: Mapping[int, str], marks: Mapping[str, Sequence[Mark]]
) -> bytes:
    """Every compared quantity as a row of dots, one per case; marked ones in red, with the names of a few."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    numbers = {facts.case: quantities(facts, label_names) for facts in cases}
    groups = _groups(list(dict.fromkeys(name for found in numbers.values() for name in found)))
    marked = {(case, mark.quantity) for case, found in marks.items() for mark in found}
    figure = Figure(figsize=(11, 1.2 + 0.5 * sum(map(len, groups.values()))), layout="constrained")
    FigureCanvasAgg(figure)
    heights = [len(names) + 1 for names in groups.values()]
    axes = figure.subplots(len(groups), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, (title, names) in zip(axes, groups.items(), strict=True):
        for row, name in enumerate(names):
            _draw_row(axis, len(names) - 1 - row, {c: n[name] for c, n in numbers.items() if name in n}, name, marked)
        axis.set_yticks(range(len(names)), names[::-1])
        axis.set_ylim(-0.6, len(names) - 0.2)
        axis.set_title(title, loc="left", fontsize=10)
        axis.grid(axis="x", alpha=0.3)
        values = [n[name] for n in numbers.values() for name in names if not math.isnan(n.get(name, math.nan))]
        if values and compared_by_logarithm(names[0]) and max(values) > _LOGARITHMIC_FROM * min(values):
            axis.set_xscale("log")
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, format="png")
    return buffer.getvalue()


def _groups(names: Sequence[str]) -> dict[str, list[str]]:
    """Quantities that share an axis, under their titles."""
    titles: dict[str, Callable[[str], bool]] = {
        "shape (voxels)": lambda name: name.startswith("shape_"),
        "spacing (mm)": lambda name: name.startswith("spacing_"),
        "volume (ml)": lambda name: name.startswith("volume_ml_"),
    }
    groups = {title: [name for name in names if fits(name)] for title, fits in titles.items()}
    for name in names:
        if name.startswith("intensity_"):
            groups.setdefault(f"intensity, channel {name.rpartition('_')[2]}", []).append(name)
    return {title: found for title, found in groups.items() if found}


def _draw_row(axis, height: int, values: Mapping[str, float], name: str, marked: set[tuple[str, str]]) -> None:
    shown = {case: value for case, value in values.items() if not math.isnan(value)}
    heights = height + np.random.default_rng(0).uniform(-0.15, 0.15, len(shown))
    unusual = np.array([(case, name) in marked for case in shown], dtype=bool)
    numbers = np.array(list(shown.values()))
    for chosen, colour, opacity in ((~unusual, "C0", 0.5), (unusual, "C3", 0.9)):
        axis.plot(numbers[chosen], heights[chosen], "o", ms=5, alpha=opacity, color=colour, mew=0)
    for index in np.flatnonzero(unusual) if unusual.sum() <= _NAMES_PER_ROW else ():
        place = (numbers[index], heights[index])
        axis.annotate(list(shown)[index], place, (0, 5), textcoords="offset points", fontsize=7, ha="center")
