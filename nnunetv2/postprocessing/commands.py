"""The commands ``nnUNetv2_determine_postprocessing`` and ``nnUNetv2_apply_postprocessing``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_processes, command_parser
from nnunetv2.cli.commands import command


def _add_documents(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-plans_json", type=str, default=None, help="plans.json; None: the one in the input folder")
    parser.add_argument("-dataset_json", type=str, default=None, help="dataset.json; None: the one in the input folder")


@command
def determine_postprocessing_entry_point(argv: Sequence[str] | None = None) -> None:
    """Find out which components to remove."""
    parser = command_parser(
        "nnUNetv2_determine_postprocessing",
        "Find out for which labels keeping only the largest component raises the Dice of these predictions, and write "
        "postprocessing.pkl and postprocessing.json beside them.",
    )
    parser.add_argument("-i", type=str, required=True, help="folder of predictions, such as crossval_results_folds_...")
    parser.add_argument("-ref", type=str, required=True, help="folder of the reference segmentations")
    _add_documents(parser)
    add_processes(parser, what="reading and comparing")
    parser.add_argument(
        "--remove_postprocessed", action="store_true", help="do not keep the postprocessed segmentations"
    )
    args = parser.parse_args(argv)

    from nnunetv2.postprocessing.remove_connected_components import determine_postprocessing

    _, kwargs = determine_postprocessing(
        args.i, args.ref, args.plans_json, args.dataset_json, args.np, not args.remove_postprocessed
    )
    steps = ", then of ".join(str(entry["labels_or_regions"]) for entry in kwargs)
    sys.stdout.write(f"Keep the largest component of {steps}\n" if steps else "No postprocessing raises the Dice\n")


@command
def apply_postprocessing_entry_point(argv: Sequence[str] | None = None) -> None:
    """Postprocess a folder of segmentations."""
    parser = command_parser(
        "nnUNetv2_apply_postprocessing",
        "Postprocess a folder of segmentations as nnUNetv2_find_best_configuration or "
        "nnUNetv2_determine_postprocessing found best.",
    )
    parser.add_argument("-i", type=str, required=True, help="folder of segmentations")
    parser.add_argument("-o", type=str, required=True, help="folder for the result; made if it does not exist")
    parser.add_argument(
        "-pp_pkl_file", type=str, required=True, help="postprocessing.pkl or postprocessing.json of the model"
    )
    add_processes(parser, what="postprocessing")
    _add_documents(parser)
    args = parser.parse_args(argv)

    from nnunetv2.postprocessing.remove_connected_components import apply_postprocessing_to_folder, load_postprocessing

    functions, kwargs = load_postprocessing(args.pp_pkl_file)
    apply_postprocessing_to_folder(args.i, args.o, functions, kwargs, args.plans_json, args.dataset_json, args.np)
