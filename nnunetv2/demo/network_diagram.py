"""Draw the U-Net of a configuration: one box per stage, as wide as its feature maps are many.

``python -m nnunetv2.demo.network_diagram PLANS CONFIGURATION PICTURE`` writes a PNG.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from nnunetv2.cli.commands import command
from nnunetv2.records.files import PathLike, atomic_path, read_json
from nnunetv2.records.plans import resolve_configuration, upgrade_configuration

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


def stages_of(configuration: dict) -> list[Stage]:
    """Levels from full resolution down, from a resolved configuration in the current layout."""
    network = configuration["architecture"]["arch_kwargs"]
    depths = network.get("n_conv_per_stage", network.get("n_blocks_per_stage"))
    decoder = [*network["n_conv_per_stage_decoder"], None]
    size, stages = tuple(configuration["patch_size"]), []
    for index, stride in enumerate(network["strides"]):
        size = tuple(n // s for n, s in zip(size, stride, strict=True))
        stages.append(Stage(network["features_per_stage"][index], size, depths[index], decoder[index]))
    return stages


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


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="network_diagram", description="Draw the U-Net of a configuration.")
    parser.add_argument("plans", help="plans file")
    parser.add_argument("configuration", help="name of the configuration in it")
    parser.add_argument("picture", help="PNG to write")
    args = parser.parse_args(argv)
    configuration = upgrade_configuration(resolve_configuration(read_json(args.plans), args.configuration))
    spacing = " × ".join(f"{value:g}" for value in configuration["spacing"])
    patch = " × ".join(map(str, configuration["patch_size"]))
    title = f"{args.configuration}: feature maps per stage, patch {patch} voxels of {spacing} mm"
    draw_network(args.picture, stages_of(configuration), title)


if __name__ == "__main__":
    main()
