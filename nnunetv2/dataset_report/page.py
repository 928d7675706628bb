"""The report as one HTML file that needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from nnunetv2.dataset_report.case_facts import CaseFacts, Intensities, colour_positions
from nnunetv2.dataset_report.outliers import RULE, Mark
from nnunetv2.dataset_report.pictures import common_range, distributions_png, histogram_svg
from nnunetv2.utilities.overlay_plots import COLOR_CYCLE

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --marked: #e5383b33; --grey: #808080; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1250px; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .35rem .5rem; text-align: left; vertical-align: top; }
th { cursor: pointer; white-space: nowrap; }
.marked { background: var(--marked); }
.numbers { white-space: nowrap; font-variant-numeric: tabular-nums; }
.thumbnail { width: 100px; background: black; }
.histogram { width: 150px; height: 45px; border-bottom: 1px solid var(--line); }
.histogram polyline { fill: none; stroke-width: 1.3; }
.all { stroke: var(--grey); }
.labelled { stroke: #cc3399; }
.distributions { max-width: 100%; background: white; }
.legend span { margin-right: 1.2rem; white-space: nowrap; }
.colour { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
small { color: var(--grey); }
"""

# Sorting by a click on a heading: numbers by value, everything else by text.
_SCRIPT = """
document.querySelectorAll('th').forEach(th => th.addEventListener('click', () => {
  const body = th.closest('table').tBodies[0], n = th.cellIndex;
  const down = th.dataset.down = th.dataset.down == '1' ? '' : '1';
  const key = tr => tr.cells[n].dataset.sort ?? tr.cells[n].textContent;
  const compare = (a, b) => isNaN(a - b) ? a.localeCompare(b) : a - b;
  [...body.rows].sort((a, b) => (down ? 1 : -1) * compare(key(a), key(b))).forEach(tr => body.append(tr));
}));
"""


@dataclass(frozen=True)
class Report:
    """All that the page shows. ``failures``: case to why it could not be read."""

    dataset: str
    cases: Sequence[CaseFacts]
    label_names: Mapping[int, str]
    channel_names: Sequence[str]
    marks: Mapping[str, Sequence[Mark]]
    failures: Mapping[str, str]


def page_of(report: Report) -> str:
    """The complete HTML text."""
    parts = [
        f"<h1>{escape(report.dataset)}</h1>",
        _summary(report),
        "<h2>Outliers</h2>",
        f"<p><small>{escape(RULE)}</small></p>",
        _outliers(report),
    ]
    if report.cases:
        picture = _data_url(distributions_png(report.cases, report.label_names, report.marks), "png")
        parts += [
            "<h2>Distributions</h2>",
            f'<img class="distributions" alt="distributions over all cases" src="{picture}">',
            "<h2>Cases</h2>",
            _legend(report),
            _table(report),
        ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(report.dataset)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _summary(report: Report) -> str:
    count = {part: sum(facts.part == part for facts in report.cases) for part in ("training", "test")}
    text = f"{count['training']} training cases and {count['test']} test cases"
    if report.failures:
        text += f"; {len(report.failures)} more could not be read"
    return f"<p>{text}. Channels: {escape(', '.join(report.channel_names))}.</p>"


def _outliers(report: Report) -> str:
    entries = [(case, reason) for case, reason in report.failures.items()]
    entries += [(case, "; ".join(mark.text for mark in marks)) for case, marks in report.marks.items()]
    if not entries:
        return "<p>None.</p>"
    items = "".join(f'<li><a href="#{escape(case)}">{escape(case)}</a>: {escape(text)}</li>' for case, text in entries)
    return f"<ul>{items}</ul>"


def _legend(report: Report) -> str:
    positions = colour_positions([value for value in report.label_names if value != 0])
    spans = [
        f'<span><i class="colour" style="background:#{COLOR_CYCLE[positions[value]]}"></i>{escape(name)}</span>'
        for value, name in report.label_names.items()
        if value != 0
    ]
    lines = '<span><i class="colour" style="background:var(--grey)"></i>histogram of all voxels</span>'
    lines += '<span><i class="colour" style="background:#cc3399"></i>histogram of labelled voxels</span>'
    note = (
        "Click on a heading to sort. Shapes and spacings are in array order (z, y, x). Histograms show percentile 0.5 "
        "to 99.5 of a case with logarithmic heights: over the same intensities for all cases whose intensities are not "
        "marked, over their own for the others."
    )
    return f'<p class="legend">{"".join(spans)}</p><p class="legend">{lines}</p><p><small>{note}</small></p>'


def _table(report: Report) -> str:
    ranges = _histogram_ranges(report)
    headings = ("", "case", "part", "shape", "spacing (mm)", "orientation", "intensities", "labels", "histogram")
    head = "".join(f"<th>{name}</th>" for name in headings)
    rows = "\n".join(_row(facts, report, ranges[facts.case]) for facts in report.cases)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>"


def _histogram_ranges(report: Report) -> dict[str, list[tuple[float, float]]]:
    """For every case the intensities that the histogram of each channel shows."""
    marked = {
        (case, mark.quantity.rpartition("_")[2])
        for case, marks in report.marks.items()
        for mark in marks
        if mark.quantity.startswith(("intensity_p00_5_", "intensity_p99_5_"))
    }
    usual: dict[int, list[Intensities]] = {}
    for facts in report.cases:
        for index, channel in enumerate(facts.channels):
            if (facts.case, str(index)) not in marked:
                usual.setdefault(index, []).append(channel)
    return {
        facts.case: [
            common_range([channel] if (facts.case, str(index)) in marked else usual[index])
            for index, channel in enumerate(facts.channels)
        ]
        for facts in report.cases
    }


def _row(facts: CaseFacts, report: Report, ranges: Sequence[tuple[float, float]]) -> str:
    marks = report.marks.get(facts.case, ())
    height, width = facts.thumbnail_size
    image = (
        f'<img class="thumbnail" style="aspect-ratio:{width:.1f}/{height:.1f}" alt="a slice of {escape(facts.case)}" '
        f'src="{_data_url(facts.thumbnail, "jpeg")}">'
    )
    intensities = [
        f"{channel.minimum:.5g} to {channel.maximum:.5g}<br><small>{channel.percentile_00_5:.5g} to "
        f"{channel.percentile_99_5:.5g} (99 %)</small>"
        for channel in facts.channels
    ]
    voxels = facts.voxels or {}
    labels = [
        f"{escape(name)}: {voxels.get(value, 0)} <small>({voxels.get(value, 0) * facts.voxel_volume:.3g} ml)</small>"
        for value, name in report.label_names.items()
        if facts.voxels is not None and value != 0
    ]
    histograms = [histogram_svg(channel, shown) for channel, shown in zip(facts.channels, ranges)]
    foreground = sum(count for value, count in voxels.items() if value != 0)
    cells = [
        _cell(image),
        _cell(f"<b>{escape(facts.case)}</b>", sort=facts.case),
        _cell(facts.part),
        _cell(" × ".join(map(str, facts.shape)), marks, "shape_", sort=facts.shape[0]),
        _cell(" × ".join(f"{step:.4g}" for step in facts.spacing), marks, "spacing_", sort=facts.spacing[0]),
        _cell(facts.orientation or "–", marks, "orientation"),
        _cell("<br>".join(intensities), marks, "intensity_", sort=facts.channels[0].maximum),
        _cell("<br>".join(labels) or "–", marks, "volume_ml_", "voxels_", sort=foreground),
        _cell("<br>".join(histograms), sort=facts.channels[0].median),
    ]
    return f'<tr id="{escape(facts.case)}">{"".join(cells)}</tr>'


def _cell(content: str, marks: Sequence[Mark] = (), *quantities: str, sort: object = None) -> str:
    """A cell, marked when a mark concerns a quantity that starts with one of ``quantities``; the reason is shown."""
    reasons = [mark.text for mark in marks if quantities and mark.quantity.startswith(quantities)]
    kind = f' class="numbers marked" title="{escape("; ".join(reasons))}"' if reasons else ' class="numbers"'
    key = "" if sort is None else f' data-sort="{escape(str(sort))}"'
    return f"<td{kind}{key}>{content}</td>"
