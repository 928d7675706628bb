"""The commands ``nnUNetv2_accumulate_crossval_results`` and ``nnUNetv2_find_best_configuration``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_processes, command_parser, fold
from nnunetv2.cli.commands import command
from nnunetv2.errors import UsageError


def _add_dataset_and_folds(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset_name_or_id", type=str, help="data set: number or name")
    parser.add_argument(
        "-f", nargs="+", type=fold, default=[0, 1, 2, 3, 4], help="folds of the cross-validation, or 'all'"
    )


@command
def accumulate_crossval_results_entry_point(argv: Sequence[str] | None = None) -> None:
    """Collect and evaluate the validation of all folds of a model."""
    parser = command_parser(
        "nnUNetv2_accumulate_crossval_results",
        "Copy the validation predictions of several folds of a model into one folder and evaluate them together.",
    )
    _add_dataset_and_folds(parser)
    parser.add_argument("-c", type=str, required=True, help="configuration, such as 3d_fullres")
    parser.add_argument(
        "-o", type=str, default=None, help="empty or new folder; None: crossval_results_folds_... in the model folder"
    )
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans identifier")
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer class")
    args = parser.parse_args(argv)
    if args.o is not None and os.path.isdir(args.o) and os.listdir(args.o):
        raise UsageError(f"the folder {args.o} is not empty; choose another one with -o, or leave -o out")

    from nnunetv2.evaluation.accumulate_cv_results import accumulate_cv_results
    from nnunetv2.records.layout import crossval_results_folder_name
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    model = get_output_folder(args.dataset_name_or_id, args.tr, args.p, args.c)
    accumulate_cv_results(model, args.o or os.path.join(model, crossval_results_folder_name(args.f)), args.f)


@command
def find_best_configuration_entry_point(argv: Sequence[str] | None = None) -> None:
    """Find the best model or ensemble and its postprocessing."""
    parser = command_parser(
        "nnUNetv2_find_best_configuration",
        "Compare the cross-validations of trained models and of ensembles of two, determine the postprocessing of the "
        "best, and say how to predict with it. Models that do not exist are left out, with the commands to train them.",
    )
    _add_dataset_and_folds(parser)
    parser.add_argument("-p", nargs="+", type=str, default=["nnUNetPlans"], help="plans identifiers")
    parser.add_argument(
        "-c",
        nargs="+",
        type=str,
        default=["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"],
        help="configurations; those that are not planned are left out",
    )
    parser.add_argument("-tr", nargs="+", type=str, default=["nnUNetTrainer"], help="trainer classes")
    add_processes(parser, what="evaluation, ensembling and postprocessing")
    parser.add_argument("--disable_ensembling", action="store_true", help="compare single models only")
    parser.add_argument("--no_overwrite", action="store_true", help="use earlier results that are up to date")
    args = parser.parse_args(argv)

    from nnunetv2.evaluation.find_best_configuration import (
        dumb_trainer_config_plans_to_trained_models_dict,
        find_best_configuration,
    )
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    find_best_configuration(
        maybe_convert_to_dataset_name(args.dataset_name_or_id),
        dumb_trainer_config_plans_to_trained_models_dict(args.tr, args.c, args.p),
        allow_ensembling=not args.disable_ensembling,
        num_processes=args.np,
        overwrite=not args.no_overwrite,
        folds=args.f,
    )
