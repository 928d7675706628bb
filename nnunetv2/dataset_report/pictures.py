"""Pictures of the page: histograms as SVG, and the distributions over all cases as one PNG."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nnunetv2.dataset_report.case_facts import CaseFacts, Intensities
from nnunetv2.dataset_report.outliers import Mark, compared_by_logarithm, quantities

_WIDTH, _HEIGHT = 180, 54
_LOGARITHMIC_FROM = 20
"""Ratio of the largest and the smallest value from which an axis of ratios is logarithmic."""


def common_range(channels: Sequence[Intensities]) -> tuple[float, float]:
    """Intensities that all histograms of a channel show: most of the most cases, so that single ones do not squeeze
    the others."""
    low = float(np.percentile([channel.percentile_00_5 for channel in channels], 5))
    high = float(np.percentile([channel.percentile_99_5 for channel in channels], 95))
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
    """Every compared quantity as a row of dots, one per case; marked ones in red with the name of the case."""
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
    spread = np.random.default_rng(0).uniform(-0.15, 0.15, len(values))
    for (case, value), offset in zip(values.items(), spread, strict=True):
        if math.isnan(value):
            continue
        unusual = (case, name) in marked
        axis.plot(
            value, height + offset, "o", ms=5, alpha=0.9 if unusual else 0.5, color="C3" if unusual else "C0", mew=0
        )
        if unusual:
            axis.annotate(case, (value, height + offset), (0, 5), textcoords="offset points", fontsize=7, ha="center")
