"""The command ``nnUNetv2_plot_overlay_pngs``."""

from __future__ import annotations

from collections.abc import Sequence

from nnunetv2.cli.arguments import add_processes, command_parser
from nnunetv2.cli.commands import command


@command
def plot_overlay_entry_point(argv: Sequence[str] | None = None) -> None:
    """Draw the labels over the images of a data set."""
    parser = command_parser(
        "nnUNetv2_plot_overlay_pngs", "One PNG per training case: a slice of the image with the labels in colour."
    )
    parser.add_argument("-d", type=str, required=True, help="data set: number or name")
    parser.add_argument("-o", type=str, required=True, help="folder for the pictures; made if it does not exist")
    add_processes(parser, what="drawing")
    parser.add_argument("-channel_idx", type=int, default=0, help="image channel to show")
    parser.add_argument("--use_raw", action="store_true", help="draw the raw images instead of the preprocessed ones")
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans identifier (preprocessed images)")
    parser.add_argument(
        "-c", type=str, default=None, help="configuration (preprocessed images); None: 3d_fullres if planned, else 2d"
    )
    parser.add_argument("-overlay_intensity", type=float, default=0.6, help="weight of the colours")
    args = parser.parse_args(argv)

    from nnunetv2.utilities import overlay_plots

    if args.use_raw:
        overlay_plots.generate_overlays_from_raw(args.d, args.o, args.np, args.channel_idx, args.overlay_intensity)
    else:
        overlay_plots.generate_overlays_from_preprocessed(
            args.d, args.o, args.np, args.channel_idx, args.c, args.p, args.overlay_intensity
        )
