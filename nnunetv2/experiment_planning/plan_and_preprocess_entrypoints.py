"""The commands nnUNetv2_extract_fingerprint, _plan_experiment, _preprocess and _plan_and_preprocess."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from nnunetv2.cli.arguments import add_executor, add_no_progress_bar, add_processes, add_verbose, command_parser
from nnunetv2.cli.commands import command

logger = logging.getLogger(__name__)


@command
def extract_fingerprint_entry(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_extract_fingerprint."""
    parser = command_parser("nnUNetv2_extract_fingerprint", "Measure data sets: shapes, spacings, intensities.")
    _add_datasets(parser)
    _add_fingerprint_options(parser)
    add_processes(parser, what="measuring cases")
    add_verbose(parser)
    add_no_progress_bar(parser)
    add_executor(parser)
    args = _parse_leniently(parser, argv)
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.utilities.executors import work_on

    with work_on(args.executor):
        api.extract_fingerprints(
            args.d, args.fpe, args.np, args.verify_dataset_integrity, args.clean, args.verbose, not args.no_pbar
        )


@command
def plan_experiment_entry(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_plan_experiment."""
    parser = command_parser("nnUNetv2_plan_experiment", "Plan configurations from the fingerprints of data sets.")
    _add_datasets(parser)
    _add_planning_options(parser)
    args = _parse_leniently(parser, argv)
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    api.plan_experiments(
        args.d,
        args.pl,
        args.gpu_memory_target,
        args.preprocessor_name,
        args.overwrite_target_spacing,
        args.overwrite_plans_name,
    )


@command
def preprocess_entry(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_preprocess."""
    parser = command_parser("nnUNetv2_preprocess", "Preprocess the training cases of planned data sets.")
    _add_datasets(parser)
    parser.add_argument("-plans_name", type=str, default="nnUNetPlans", help="identifier of the plans to follow")
    _add_preprocessing_options(parser)
    parser.add_argument("--clean", action="store_true", help="remove the cases of these configurations first")
    parser.add_argument(
        "--verify", action="store_true", help="make nothing; check that all cases are there, readable and up to date"
    )
    add_verbose(parser)
    add_no_progress_bar(parser)
    add_executor(parser)
    args = _parse_leniently(parser, argv)
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.utilities.executors import work_on

    if args.verify:
        api.verify_preprocessed(args.d, args.plans_name, args.c)
        return
    with work_on(args.executor):
        api.preprocess(
            args.d,
            args.plans_name,
            configurations=args.c,
            num_processes=args.np,
            verbose=args.verbose,
            show_progress_bar=not args.no_pbar,
            clean=args.clean,
        )


@command
def plan_and_preprocess_entry(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_plan_and_preprocess."""
    parser = command_parser(
        "nnUNetv2_plan_and_preprocess", "Measure, plan and preprocess data sets: each step for all, then the next."
    )
    _add_datasets(parser)
    _add_fingerprint_options(parser)
    add_processes(parser, "-npfp", what="measuring cases", default=8)
    parser.add_argument("--no_pp", action="store_true", help="stop after planning")
    _add_planning_options(parser)
    _add_preprocessing_options(parser)
    add_verbose(parser)
    add_no_progress_bar(parser)
    add_executor(parser)
    args = parser.parse_args(argv)
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.utilities.executors import work_on

    if not args.no_pp:
        api.processes_per_configuration(args.c, args.np)  # complain before hours of work, not after
    show = not args.no_pbar
    with work_on(args.executor):
        api.extract_fingerprints(
            args.d, args.fpe, args.npfp, args.verify_dataset_integrity, args.clean, args.verbose, show
        )
        plans_identifier = api.plan_experiments(
            args.d,
            args.pl,
            args.gpu_memory_target,
            args.preprocessor_name,
            args.overwrite_target_spacing,
            args.overwrite_plans_name,
        )
        if not args.no_pp:
            api.preprocess(args.d, plans_identifier, args.c, args.np, args.verbose, show)


def _parse_leniently(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse, and ignore options of neighbouring commands (scripts pass them on), but say so."""
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        logger.warning("%s ignores options it does not know: %s", parser.prog, " ".join(unknown))
    return args


def _add_datasets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-d",
        type=int,
        nargs="+",
        required=True,
        metavar="ID",
        help="one or more data set ids, such as 4 for Dataset004",
    )


def _add_fingerprint_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-fpe", type=str, default="DatasetFingerprintExtractor", help="fingerprint extractor class")
    parser.add_argument(
        "--verify_dataset_integrity", action="store_true", help="check dataset.json and every file before anything else"
    )
    parser.add_argument("--clean", action="store_true", help="measure every case again for the fingerprint")


def _add_planning_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-pl", type=str, default="ExperimentPlanner", help="planner class")
    parser.add_argument(
        "-gpu_memory_target",
        type=float,
        default=None,
        help="GPU memory in GB to plan for; without it the planner's own",
    )
    parser.add_argument(
        "-preprocessor_name", type=str, default="DefaultPreprocessor", help="preprocessor class written into the plans"
    )
    parser.add_argument(
        "-overwrite_target_spacing",
        type=float,
        nargs="+",
        default=None,
        metavar="MM",
        help="three numbers in mm, in the axis order of the images: the full resolution, instead of the planned one",
    )
    parser.add_argument(
        "-overwrite_plans_name",
        type=str,
        default=None,
        help="identifier of the plans to write; use it whenever a setting differs from the planner's own",
    )


def _add_preprocessing_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        type=str,
        nargs="+",
        default=["2d", "3d_fullres", "3d_lowres"],
        metavar="CONFIGURATION",
        help="configurations to preprocess; those missing in the plans are skipped",
    )
    parser.add_argument(
        "-np",
        type=int,
        nargs="+",
        default=None,
        metavar="N",
        help="worker processes: one number for all configurations or one for each; without it 8 for 2d and "
        "3d_lowres, 4 for all others",
    )
