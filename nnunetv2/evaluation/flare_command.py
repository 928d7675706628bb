"""The command ``nnUNetv2_evaluate_flare``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_executor, add_processes, command_parser
from nnunetv2.cli.commands import command


@command
def evaluate_flare_entry_point(argv: Sequence[str] | None = None) -> None:
    """Score a folder of predictions as the FLARE challenges do."""
    parser = command_parser(
        "nnUNetv2_evaluate_flare",
        "Score predicted lesions as the FLARE challenges do: DSC, normalized surface Dice, running time, memory-time.",
    )
    parser.add_argument("gt_folder", type=str, help="folder with the reference segmentations")
    parser.add_argument("pred_folder", type=str, help="folder with the predictions, named like the references")
    parser.add_argument("-l", type=int, nargs="+", default=[1], help="labels that together are the lesions")
    parser.add_argument("--tolerance", type=float, default=2.0, help="distance in mm within which surfaces agree")
    parser.add_argument(
        "--measurements", default=None, help="CSV or JSON of times and memory; None: pred_folder/measurements.csv"
    )
    parser.add_argument("-o", type=str, default=None, help="JSON file to write; None: pred_folder/flare.json")
    parser.add_argument("--csv", type=str, default=None, help="CSV file to write; None: as -o, ending with .csv")
    add_processes(parser, what="the comparison")
    parser.add_argument("--chill", action="store_true", help="leave out references that have no prediction")
    add_executor(parser)
    args = parser.parse_args(argv)
    if args.tolerance < 0:
        parser.error(f"--tolerance is {args.tolerance}; it must be 0 or more")

    from nnunetv2.evaluation.flare import evaluate_flare, save_flare_csv, save_flare_json
    from nnunetv2.utilities.executors import work_on

    output = args.o or os.path.join(args.pred_folder, "flare.json")
    table = args.csv or os.path.splitext(output)[0] + ".csv"
    folders = (os.path.abspath(args.gt_folder), os.path.abspath(args.pred_folder))
    with work_on(args.executor):
        scores = evaluate_flare(*folders, args.l, args.tolerance, args.measurements, args.np, args.chill)
    save_flare_json(scores, args.l, args.tolerance, output)
    save_flare_csv(scores, table)
    _report(scores, args.tolerance)
    sys.stdout.write(f"{len(scores)} cases, details in {output} and {table}\n")


def _report(scores: Sequence, tolerance: float) -> None:
    from nnunetv2.evaluation.flare import mean_and_deviation

    mean, deviation = mean_and_deviation(scores)
    lines = [
        f"{name}: {100 * mean[key]:.2f} ± {100 * deviation[key]:.2f} %"
        for name, key in (("DSC", "dsc"), (f"NSD at {tolerance:g} mm", "nsd"))
    ]
    for name, key, unit in (
        ("running time", "running_time_s", "s"),
        ("GPU memory-time", "gpu_memory_time_mib_s", "MiB s"),
        ("main memory-time", "host_memory_time_mib_s", "MiB s"),
    ):
        if mean[key] == mean[key]:
            lines.append(f"{name}: {mean[key]:.1f} ± {deviation[key]:.1f} {unit}")
    sys.stdout.write("\n".join(lines) + "\n")
