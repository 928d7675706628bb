"""The command line of ``rename_data.py``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nnunetv2.cli.arguments import add_processes, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.competitions.heart_renaming import Renaming, carry_out, describe_data, plan_data, plan_predictions
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.files import write_json
from nnunetv2.records.layout import DATASET_JSON


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Give the organisers' files the names of nnU-Net, and predictions the names of the organisers."""
    parser = command_parser(
        "rename_data.py",
        "Rename the files of AI CUP 2025 (heart CT): training and test images and labels in nnUNet_raw to the names of "
        "nnU-Net, predictions to the names of a submission. Writes dataset.json when there is none. Nothing is touched "
        "unless every name is known; what was renamed before is left, so it can be repeated at any time.",
    )
    parser.add_argument("--dry-run", action="store_true", help="only check and show what would be done")
    parser.add_argument("--dataset", default="Dataset100_Heart", help="folder in nnUNet_raw (not set: ./nnUNet_raw)")
    parser.add_argument("--predictions", type=Path, default=Path("predict_pp"), help="folder of predictions")
    parser.add_argument("--only", choices=("data", "predictions"), default=None, help="leave the other part as it is")
    add_processes(parser, what="reading the labels")
    args = parser.parse_args(argv)

    dataset_folder = Path(nnUNet_raw.get() or "nnUNet_raw") / args.dataset
    plan: list[Renaming] = []
    description = None
    if args.only != "data":
        plan += plan_predictions(args.predictions)
    if args.only != "predictions":
        plan += plan_data(dataset_folder)
        description = describe_data(dataset_folder, args.np)
    lines = [str(step) for step in plan]
    if description is not None:
        lines.append(f"{dataset_folder / DATASET_JSON}: new, {description['numTraining']} training cases")
    if not args.dry_run:
        carry_out(plan)
        if description is not None:
            write_json(dataset_folder / DATASET_JSON, description, sort_keys=False)
    done = f"{'would be ' if args.dry_run else ''}renamed"
    sys.stdout.write("\n".join([*lines, f"{len(plan)} file(s) {done}"]) + "\n")
