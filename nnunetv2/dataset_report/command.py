"""The command ``nnUNetv2_dataset_report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_executor, add_no_progress_bar, add_processes, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.utilities.executors import work_on


@command
def dataset_report_entry_point(argv: Sequence[str] | None = None) -> None:
    """Write a report on a raw data set."""
    parser = command_parser(
        "nnUNetv2_dataset_report",
        "Shape, spacing, orientation, intensities and voxels per label of every case of a raw data set: as report.csv, "
        "and as report.html with thumbnails and histograms. Cases that differ from the others are marked.",
    )
    parser.add_argument("-d", type=str, required=True, help="data set: number or name")
    parser.add_argument("-o", type=str, required=True, help="folder for the report; made if it does not exist")
    add_processes(parser, what="measuring cases")
    add_no_progress_bar(parser)
    add_executor(parser)
    args = parser.parse_args(argv)

    from nnunetv2.dataset_report.report import CSV, HTML, report_dataset

    with work_on(args.executor):
        report = report_dataset(args.d, args.o, args.np, not args.no_pbar)
    sys.stdout.write(f"{args.o}: {CSV} and {HTML}, {len(report.cases)} cases, {len(report.marks)} with outliers\n")
