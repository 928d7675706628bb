"""The command ``nnUNetv2_doctor``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from os.path import join

from nnunetv2.cli.arguments import add_executor, add_processes, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.errors import MissingFileError, UsageError


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "nnUNetv2_doctor",
        "Everything that is wrong or suspicious in a raw data set, at once: description, names, geometry, label "
        "values, intensities, duplicates, and what it is going to need. Exit status 1 when there are errors. Writes "
        "dataset.json from the files when there is none; changes nothing else.",
    )
    parser.add_argument("dataset", type=str, help="data set: number, name, or path of its folder")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--sample", type=int, default=None, metavar="N",
        help="look into the images of N cases only, spread evenly; names are checked for all",
    )  # fmt: skip
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer, to know whether it mirrors images")
    parser.add_argument(
        "--fix", type=str, default=None, metavar="OUTPUT_FOLDER",
        help="copy the data set to this new folder with everything repaired that is safe to repair",
    )  # fmt: skip
    parser.add_argument("--renumber", action="store_true", help="with --fix: make labels consecutive, in files, too")
    add_processes(parser, what="reading cases")
    add_executor(parser)
    return parser


@command
def doctor_entry_point(argv: Sequence[str] | None = None) -> None:
    """``nnUNetv2_doctor``."""
    args = _parser().parse_args(argv)
    if args.renumber and args.fix is None:
        raise UsageError("--renumber changes label maps, so it needs --fix OUTPUT_FOLDER")
    if args.sample is not None and args.sample < 1:
        raise UsageError(f"--sample is {args.sample}; give the number of cases to look into, 1 or more")
    from nnunetv2.utilities.executors import work_on

    with work_on(args.executor):
        errors = _examine_and_fix(args)
    if errors:
        raise SystemExit(1)


def _examine_and_fix(args: argparse.Namespace) -> int:
    """Print the report, of the repaired copy if there is one; returns the number of errors."""
    from nnunetv2.experiment_planning.doctor.description_writing import description_from_files
    from nnunetv2.experiment_planning.doctor.repair import repair

    folder = _folder(args.dataset)
    if args.fix is None:
        return _print_report(folder, args)
    has_description = os.path.isfile(join(folder, "dataset.json"))
    description = None if has_description else description_from_files(folder, args.np)
    repairs = repair(folder, args.fix, args.np, args.renumber, description)
    if not args.json:
        lines = [f"{args.fix}: a copy of {folder}, with {len(repairs.done)} repairs"]
        lines += [f"  - {text}" for text in repairs.done] + [f"  - not copied: {name}" for name in repairs.left_out]
        sys.stdout.write("\n".join(lines) + "\n\n")
    return _print_report(args.fix, args)


def _print_report(folder: str, args: argparse.Namespace) -> int:
    from dataclasses import replace

    from nnunetv2.experiment_planning.doctor.description_writing import write_missing_description
    from nnunetv2.experiment_planning.doctor.examination import examine

    written = write_missing_description(folder, folder, args.np)
    report = examine(folder, args.np, args.sample, args.tr)
    if written is not None:
        report = replace(report, findings=(*report.findings, written))
    sys.stdout.write((json.dumps(report.to_json(), indent=4) if args.json else report.to_text()) + "\n")
    return report.count("error")


def _folder(dataset: str) -> str:
    """Folder of a data set given as a path, number or name."""
    from nnunetv2.paths import nnUNet_raw
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    if os.sep in dataset or os.path.isdir(dataset):
        folder = dataset
    else:
        folder = join(nnUNet_raw.require(), maybe_convert_to_dataset_name(dataset))
    if not os.path.isdir(folder):
        raise MissingFileError(f"{folder} does not exist; give the number, the name or the folder of a raw data set")
    return folder
