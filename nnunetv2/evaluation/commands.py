"""The commands ``nnUNetv2_evaluate_folder`` and ``nnUNetv2_evaluate_simple``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_executor, add_processes, command_parser
from nnunetv2.cli.commands import command


def _add_folders_and_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("gt_folder", type=str, help="folder with the reference segmentations")
    parser.add_argument(
        "pred_folder", type=str, help="folder with the predicted segmentations, named like the references"
    )
    parser.add_argument(
        "-o", type=str, default=None, help="JSON file to write; None: summary.json beside the predictions"
    )
    add_processes(parser, what="the comparison")
    parser.add_argument("--chill", action="store_true", help="leave out references that have no prediction")
    add_executor(parser)


def _folders(args: argparse.Namespace) -> tuple[str, str]:
    """References and predictions; by absolute paths for workers, which have working folders of their own."""
    folders = args.gt_folder, args.pred_folder
    return folders if args.executor is None else tuple(os.path.abspath(folder) for folder in folders)


def _report(summary: dict, output_file: str) -> None:
    lines = [f"{label}: mean Dice {metrics['Dice']:.4f}" for label, metrics in summary["mean"].items()]
    lines.append(f"foreground: mean Dice {summary['foreground_mean']['Dice']:.4f}")
    lines.append(f"{len(summary['metric_per_case'])} cases, details in {output_file}")
    sys.stdout.write("\n".join(lines) + "\n")


@command
def evaluate_folder_entry_point(argv: Sequence[str] | None = None) -> None:
    """Evaluate a folder of predictions with the labels and regions of a data set."""
    parser = command_parser(
        "nnUNetv2_evaluate_folder",
        "Compare predicted segmentations with references: Dice, IoU and voxel counts per case and label or region.",
    )
    _add_folders_and_output(parser)
    parser.add_argument("-djfile", type=str, required=True, help="dataset.json: file ending, labels, regions")
    parser.add_argument("-pfile", type=str, required=True, help="plans.json: which label manager reads the labels")
    args = parser.parse_args(argv)

    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder2
    from nnunetv2.records.layout import SUMMARY_JSON
    from nnunetv2.utilities.executors import work_on

    output_file = args.o or f"{args.pred_folder}/{SUMMARY_JSON}"
    with work_on(args.executor):
        summary = compute_metrics_on_folder2(
            *_folders(args), args.djfile, args.pfile, output_file, args.np, chill=args.chill
        )
    _report(summary, output_file)


@command
def evaluate_simple_entry_point(argv: Sequence[str] | None = None) -> None:
    """Evaluate a folder of predictions for the labels named on the command line."""
    parser = command_parser(
        "nnUNetv2_evaluate_simple",
        "Compare predicted segmentations with references for the given labels; needs neither plans nor dataset.json.",
    )
    _add_folders_and_output(parser)
    parser.add_argument("-l", type=int, nargs="+", required=True, help="labels to evaluate")
    parser.add_argument("-il", type=int, default=None, help="label of the reference whose voxels count nowhere")
    args = parser.parse_args(argv)

    from nnunetv2.evaluation.evaluate_predictions import compute_metrics_on_folder_simple
    from nnunetv2.records.layout import SUMMARY_JSON
    from nnunetv2.utilities.executors import work_on

    output_file = args.o or f"{args.pred_folder}/{SUMMARY_JSON}"
    with work_on(args.executor):
        summary = compute_metrics_on_folder_simple(
            *_folders(args), args.l, output_file, args.np, args.il, chill=args.chill
        )
    _report(summary, output_file)
