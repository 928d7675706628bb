"""The command ``nnUNetv2_evaluate_metrics``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from nnunetv2.cli.arguments import add_executor, add_processes, command_parser
from nnunetv2.cli.commands import command


def _label_or_region(text: str) -> int | tuple[int, ...]:
    """``3``, or ``1,2`` for a region."""
    values = tuple(int(part) for part in text.split(","))
    return values[0] if len(values) == 1 else values


def _parser() -> argparse.ArgumentParser:
    parser = command_parser(
        "nnUNetv2_evaluate_metrics",
        "Surface distances (HD95, NSD, ASSD) and lesion-wise detection per case, with confidence intervals; paired "
        "test of two folders of predictions.",
    )
    parser.add_argument("gt_folder", type=str, help="folder with the reference segmentations")
    parser.add_argument("pred_folder", type=str, help="folder with the predictions, named like the references")
    parser.add_argument(
        "-l", type=_label_or_region, nargs="+", help="labels, and regions as 1,2; None: those of -djfile"
    )
    parser.add_argument("-djfile", type=str, default=None, help="dataset.json; None: the one in pred_folder")
    parser.add_argument("-il", type=int, default=None, help="label of the reference whose voxels count nowhere")
    parser.add_argument("--compare", default=None, metavar="FOLDER", help="other predictions of the same cases")
    parser.add_argument("--tolerance", type=float, default=2.0, help="of the NSD, in mm")
    parser.add_argument("--overlap", type=float, default=0.1, help="intersection over union at which a lesion is found")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the bootstrap intervals")
    parser.add_argument("--resamples", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("-o", type=str, default=None, help="JSON file to write; None: pred_folder/metrics.json")
    parser.add_argument("--csv", type=str, default=None, help="CSV file of all cases; None: as -o, ending with .csv")
    add_processes(parser, what="the comparison")
    parser.add_argument("--chill", action="store_true", help="leave out references that have no prediction")
    add_executor(parser)
    return parser


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(argv)
    if args.tolerance < 0:
        parser.error(f"--tolerance is {args.tolerance}; it must be 0 or more")
    if not 0 < args.overlap <= 1:
        parser.error(f"--overlap is {args.overlap}; it must be above 0 and at most 1")
    if not 0 < args.confidence < 1:
        parser.error(f"--confidence is {args.confidence}; it must be between 0 and 1, such as 0.95")
    if args.resamples < 100:
        parser.error(f"--resamples is {args.resamples}; fewer than 100 give no interval")
    return args


@command
def evaluate_metrics_entry_point(argv: Sequence[str] | None = None) -> None:
    """Measure a folder of predictions, and compare it with another one."""
    args = _parse(argv)

    from nnunetv2.evaluation import extended_metrics
    from nnunetv2.utilities.executors import work_on

    settings = _settings(args)
    output = args.o or os.path.join(args.pred_folder, "metrics.json")
    table_file = args.csv or os.path.splitext(output)[0] + ".csv"
    comparison = None
    with work_on(args.executor):
        folders = [os.path.abspath(f) for f in (args.pred_folder, args.compare) if f is not None]
        tables = [
            extended_metrics.measure_folder(os.path.abspath(args.gt_folder), folder, settings, args.np, args.chill)
            for folder in folders
        ]
    if args.compare is not None:
        comparison = extended_metrics.compare_tables(*tables, settings)
    extended_metrics.save_metrics_json(tables[0], settings, output, comparison)
    extended_metrics.save_case_csv(tables[0], table_file)
    sys.stdout.write(_report(extended_metrics.summarize(tables[0], settings), comparison, settings.confidence))
    sys.stdout.write(f"{len(tables[0])} cases, details in {output} and {table_file}\n")


def _settings(args: argparse.Namespace) -> Any:
    from nnunetv2.evaluation.extended_metrics import Settings
    from nnunetv2.evaluation.folder_documents import document_of
    from nnunetv2.records.dataset_json import DatasetJson
    from nnunetv2.records.labels import Labels
    from nnunetv2.records.layout import DATASET_JSON

    labels, ignore = args.l, args.il
    if labels is None:
        content = DatasetJson.from_json(document_of(args.djfile, args.pred_folder, DATASET_JSON), source="dataset.json")
        described = Labels.from_json(content.labels, content.regions_class_order)
        labels = described.foreground if described.regions is None else described.regions
        ignore = described.ignore_label if ignore is None else ignore
    return Settings(
        labels=tuple(labels),
        tolerance=args.tolerance,
        overlap=args.overlap,
        ignore_label=ignore,
        confidence=args.confidence,
        resamples=args.resamples,
        seed=args.seed,
    )


def _report(summary: dict, comparison: dict | None, confidence: float) -> str:
    lines = []
    for label, scores in summary.items():
        lines.append(f"label {label}: mean and {100 * confidence:g} % interval over cases")
        for name, value in scores.items():
            if name == "all_lesions":
                continue
            out = f", {value['left_out']} case(s) without a value" if value["left_out"] else ""
            lines.append(f"  {name}: {value['mean']:.4f} ({value['low']:.4f} to {value['high']:.4f}{out})")
        counts = scores["all_lesions"]
        lines.append(
            f"  all lesions: {counts['true_positives']} found, {counts['false_negatives']} missed, "
            f"{counts['false_positives']} invented, F1 {counts['lesion_F1']:.4f}"
        )
        for name, result in (comparison or {}).get(label, {}).items():
            difference = result.difference
            lines.append(
                f"  {name} minus the other folder's: {difference.mean:+.4f} ({difference.low:+.4f} to "
                f"{difference.high:+.4f}), p = {result.p_value:.4g}, {difference.cases} pairs"
            )
    return "\n".join(lines) + "\n"
