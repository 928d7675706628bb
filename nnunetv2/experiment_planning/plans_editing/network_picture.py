"""A picture of the U-Net of a configuration: one box per stage, as wide as its feature maps are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnunetv2.errors import UsageError
from nnunetv2.experiment_planning.plans_editing.documents import PlansDocuments
from nnunetv2.experiment_planning.plans_editing.show import describe_configuration
from nnunetv2.records.files import PathLike, atomic_path

ENCODER, DECODER, OUTPUT = "#7aa6d6", "#e3a76f", "#8fbf8f"


@dataclass(frozen=True)
class Stage:
    """One level of the U-Net."""

    features: int
    size: tuple[int, ...]
    """Feature map in voxels, for one patch."""
    encoder_convolutions: int
    decoder_convolutions: int | None
    """None at the bottom."""


def stages_of(described: Sequence[Mapping[str, Any]]) -> list[Stage]:
    """Levels from full resolution down, from the stages of ``describe_configuration``."""
    return [Stage(s["features"], tuple(s["size"]), s["encoder"], s["decoder"]) for s in described]


def draw_configuration(path: PathLike, documents: PlansDocuments, name: str) -> None:
    """Write the picture of a configuration's U-Net to ``path`` (PNG). Raises UsageError for another network."""
    described = describe_configuration(documents, name)
    network, entries = described["network"], described["entries"]
    if network is None:
        raise UsageError(f"{name} has a {described['network_class_name']}; only U-Nets of the planners can be drawn")
    spacing = " × ".join(f"{value:g}" for value in entries["spacing"]["value"])
    patch = " × ".join(map(str, entries["patch_size"]["value"]))
    title = f"{name}: feature maps per stage, patch {patch} voxels of {spacing} mm"
    draw_network(path, stages_of(network["stages"]), title)


def draw_network(path: PathLike, stages: Sequence[Stage], title: str) -> None:
    """Write the picture of ``stages`` to ``path`` (PNG)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.1 + 1.1 * len(stages)), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    widest = max(stage.features for stage in stages)
    widths = [0.45 + 0.55 * stage.features / widest for stage in stages]
    for level, stage in enumerate(stages):
        y, width = -level, widths[level]
        _box(axis, level, y, width, ENCODER, f"{stage.features}", f"{stage.encoder_convolutions} conv")
        axis.text(-0.75, y, " × ".join(map(str, stage.size)), ha="right", va="center", fontsize=9)
        if stage.decoder_convolutions is None:
            continue
        x = 2 * len(stages) - 2 - level
        _box(axis, x, y, width, DECODER, f"{stage.features}", f"{stage.decoder_convolutions} conv")
        below = widths[level + 1]
        _arrow(axis, (level + width / 2, y), (x - width / 2, y), "skip connection" if level == 0 else "", "dashed")
        _arrow(axis, (level + 0.15, y - 0.28), (level + 1 - below / 2, y - 0.9), "", "solid")
        _arrow(axis, (x - 1 + below / 2, y - 0.9), (x - 0.15, y - 0.28), "", "solid")
    right = 2 * len(stages) - 2
    _box(axis, right + 1.2, 0, 0.7, OUTPUT, "labels", "1×1×1")
    _arrow(axis, (right + widths[0] / 2, 0), (right + 0.85, 0), "", "solid")
    axis.set_xlim(-2.0, right + 1.8)
    axis.set_ylim(-len(stages) + 0.4, 0.75)
    axis.set_axis_off()
    figure.suptitle(title)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _box(axis, x: float, y: float, width: float, colour: str, text: str, below: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = (x - width / 2, y - 0.25)
    axis.add_patch(FancyBboxPatch(corner, width, 0.5, boxstyle="round,pad=0,rounding_size=0.06", fc=colour, ec="black"))
    axis.text(x, y + 0.06, text, ha="center", va="center", fontsize=10, weight="bold")
    axis.text(x, y - 0.13, below, ha="center", va="center", fontsize=7)


def _arrow(axis, start: tuple[float, float], end: tuple[float, float], text: str, style: str) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "linestyle": style, "color": "0.3"})
    if text:
        axis.text((start[0] + end[0]) / 2, start[1] + 0.08, text, ha="center", fontsize=8, color="0.3")
