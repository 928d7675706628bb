"""The commands ``nnUNetv2_predict`` and ``nnUNetv2_predict_from_modelfolder``."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nnunetv2.cli.arguments import (
    add_device,
    add_executor,
    add_no_progress_bar,
    add_trust_pickle,
    add_verbose,
    command_parser,
    fold,
)
from nnunetv2.cli.commands import command
from nnunetv2.cli.logs import configure_logging
from nnunetv2.configuration import trusting_pickles
from nnunetv2.errors import UsageError

if TYPE_CHECKING:
    import torch

    from nnunetv2.inference.predictor import nnUNetPredictor

logger = logging.getLogger(__name__)

CITATION = "Please cite nnU-Net when you use it: Isensee et al., Nature Methods 18, 203-211 (2021)."
DEFAULT_WORKERS = 3


def _workers_from_environment(name: str) -> int:
    """Value of the variable; 3 when it is unset or no number, which is what scripts have relied on."""
    try:
        return int(os.environ.get(name, ""))
    except ValueError:
        return DEFAULT_WORKERS


def _add_model_flags(parser: argparse.ArgumentParser) -> None:
    """``-i -o`` and what selects among the weights of a model."""
    parser.add_argument("-i", type=str, required=True, help="folder of images named CASE_0000, CASE_0001, ...")
    parser.add_argument("-o", type=str, required=True, help="folder for the segmentations; made if it does not exist")
    parser.add_argument(
        "-f", nargs="+", type=fold, default=[0, 1, 2, 3, 4], help="folds whose networks are averaged; 'all' is one too"
    )
    parser.add_argument("-chk", type=str, default="checkpoint_final.pth", help="file name of the checkpoints")


def _add_prediction_flags(
    parser: argparse.ArgumentParser, npp: int, nps: int, continue_aliases: tuple[str, ...]
) -> None:
    parser.add_argument("-step_size", type=float, default=0.5, help="distance of tiles, as a fraction of the patch")
    parser.add_argument("--disable_tta", action="store_true", help="no mirroring: faster, slightly less accurate")
    add_verbose(parser)
    parser.add_argument("--save_probabilities", action="store_true", help="also write CASE.npz and CASE.pkl")
    parser.add_argument(
        "--probabilities",
        choices=("npz", "blosc2"),
        default=None,
        help="the same in this format: npz as --save_probabilities, or blosc2 (CASE.b2nd, float16), small and fast",
    )
    parser.add_argument(
        "--continue_prediction", *continue_aliases, action="store_true", help="skip cases that are in -o already"
    )
    parser.add_argument("-npp", type=int, default=npp, help="threads that prepare cases; 0: the main thread does it")
    parser.add_argument("-nps", type=int, default=nps, help="threads that export cases; 0: the main thread does it")
    parser.add_argument(
        "-prev_stage_predictions", type=str, default=None, help="folder with the first stage's output, for a cascade"
    )
    parser.add_argument("-num_parts", type=int, default=1, help="how many calls share the cases of -i")
    parser.add_argument("-part_id", type=int, default=0, help="which of them this is, from 0")
    add_device(parser)
    add_no_progress_bar(parser, "--disable_progress_bar")
    parser.add_argument(
        "--not_on_device", action="store_true", help="keep sums of logits in main memory, not on the GPU"
    )
    parser.add_argument(
        "--max-memory", type=float, default=None, metavar="GIB", help="main memory to use at most, in GiB"
    )
    parser.add_argument(
        "--max-device-memory", type=float, default=None, metavar="GIB", help="memory of the GPU to use at most, in GiB"
    )
    parser.add_argument("--float32", action="store_true", help="sum logits in float32 instead of float16")
    parser.add_argument(
        "--engine",
        choices=("auto", "torch", "openvino"),
        default="auto",
        help="what runs the network; auto is openvino on a CPU where that is installed and faster, else torch",
    )
    parser.add_argument(
        "--precision",
        choices=("f32", "bf16", "fp16"),
        default=None,
        help="of products in the network; default: fp16 on CUDA, else f32. bf16 on a CPU: allowed where it is faster",
    )
    add_executor(parser)
    add_trust_pickle(parser)


def predict_parser() -> argparse.ArgumentParser:
    """Flags of ``nnUNetv2_predict``."""
    parser = command_parser(
        "nnUNetv2_predict", "Segment a folder of images with a model below nnUNet_results.", epilog=CITATION
    )
    _add_model_flags(parser)
    parser.add_argument("-d", type=str, required=True, help="data set the model was trained on, number or name")
    parser.add_argument("-p", type=str, default="nnUNetPlans", help="plans of the model")
    parser.add_argument("-tr", type=str, default="nnUNetTrainer", help="trainer class of the model")
    parser.add_argument("-c", type=str, required=True, help="configuration of the model, such as 3d_fullres")
    _add_prediction_flags(parser, _workers_from_environment("nnUNet_npp"), _workers_from_environment("nnUNet_nps"), ())
    return parser


def modelfolder_parser() -> argparse.ArgumentParser:
    """Flags of ``nnUNetv2_predict_from_modelfolder``."""
    parser = command_parser(
        "nnUNetv2_predict_from_modelfolder",
        "Segment a folder of images with a model in any folder; no variables need to be set.",
        epilog=CITATION,
    )
    _add_model_flags(parser)
    parser.add_argument("-m", type=str, required=True, help="model folder: the one with plans.json and fold_*")
    _add_prediction_flags(parser, DEFAULT_WORKERS, DEFAULT_WORKERS, ("--c",))
    return parser


def with_right_dashes(parser: argparse.ArgumentParser, argv: Sequence[str]) -> list[str]:
    """``argv`` with ``--step_size`` as ``-step_size`` and ``-disable_tta`` as ``--disable_tta``, and so on.

    Only spellings that mean nothing otherwise are changed: full names, and not where the dashes given make the text an
    option or the beginning of one (``--c`` goes on meaning ``--continue_prediction``).
    """
    known = [option for action in parser._actions for option in action.option_strings]

    def right(token: str) -> str:
        name, separator, value = token.partition("=")
        other = name[1:] if name.startswith("--") else f"-{name}"
        if not name.startswith("-") or other not in known or any(option.startswith(name) for option in known):
            return token
        return f"{other}{separator}{value}"

    return [right(token) for token in argv]


def _parse(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    args = parser.parse_args(with_right_dashes(parser, sys.argv[1:] if argv is None else argv))
    if not 0 <= args.part_id < args.num_parts:
        parser.error(
            f"-part_id is {args.part_id}; with -num_parts {args.num_parts} it must be 0 to {args.num_parts - 1}"
        )
    if not 0 < args.step_size <= 1:
        parser.error(f"-step_size is {args.step_size}; it must be above 0 and at most 1")
    for name in ("max_memory", "max_device_memory"):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f"--{name.replace('_', '-')} is {value}; it is a number of GiB above 0")
    if min(args.npp, args.nps) < 0:
        parser.error("-npp and -nps must be 0 or more")
    return args


def _available_device(name: str) -> torch.device:
    """The torch device. Raises UsageError when this machine has none of that kind."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        reason = "this PyTorch was built without CUDA" if torch.version.cuda is None else "PyTorch finds no CUDA GPU"
        raise UsageError(f"{reason}, so -device cuda (the default) is not possible. Use -device cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("this machine has no MPS device. Use -device cpu")
    return torch.device(name)


def _make_predictor(args: argparse.Namespace) -> nnUNetPredictor:
    """The predictor for this machine, or the one that hands cases to the workers of ``--executor``."""
    device = None if args.executor else _available_device(args.device)
    import torch

    from nnunetv2.inference import patchable

    configure_logging(args.verbose)
    logger.info(CITATION)
    settings: dict[str, Any] = {
        "tile_step_size": args.step_size,
        "use_gaussian": True,
        "use_mirroring": not args.disable_tta,
        "perform_everything_on_device": not args.not_on_device,
        "verbose": args.verbose,
        "verbose_preprocessing": args.verbose,
        "allow_tqdm": not args.disable_progress_bar,
        "accumulator_dtype": torch.float32 if args.float32 else torch.float16,
    }
    # Only wishes are passed on: a predictor class put in place of ours may not know these settings.
    wishes = {
        "engine": None if args.engine == "auto" else args.engine,
        "precision": args.precision,
        "probability_format": args.probabilities,
        "max_memory": args.max_memory,
        "max_device_memory": args.max_device_memory,
    }
    settings |= {name: value for name, value in wishes.items() if value is not None}
    if device is None:
        from nnunetv2.inference.prediction_on_workers import WorkersPredictor

        return WorkersPredictor(args.device, **settings)
    return patchable.names().nnUNetPredictor(device=device, **settings)


@contextmanager
def _engine_prepared_beside(predictor: nnUNetPredictor | None) -> Iterator[None]:
    """Compile the network in a thread while the first case is read; an error in it shows with the first tile."""
    if not hasattr(predictor, "prepare_engine"):
        yield
        return
    thread = threading.Thread(target=_prepare_quietly, args=(predictor,), name="prepare engine")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _prepare_quietly(predictor: nnUNetPredictor) -> None:
    try:
        predictor.prepare_engine()
    except Exception as error:  # the main thread meets the same error, with the case it concerns
        logger.debug("preparing the engine ended with %r", error)


def _predict(args: argparse.Namespace, model_folder: str) -> None:
    """Load the model and predict the input folder."""
    predictor = _make_predictor(args)
    from nnunetv2.utilities.executors import work_on

    with trusting_pickles(args.trust_pickle):
        predictor.initialize_from_trained_model_folder(model_folder, args.f, checkpoint_name=args.chk)
    with work_on(args.executor), _engine_prepared_beside(predictor if args.executor is None else None):
        predictor.predict_from_files(
            args.i,
            args.o,
            save_probabilities=args.save_probabilities or args.probabilities is not None,
            overwrite=not args.continue_prediction,
            num_processes_preprocessing=args.npp,
            num_processes_segmentation_export=args.nps,
            folder_with_segs_from_prev_stage=args.prev_stage_predictions,
            num_parts=args.num_parts,
            part_id=args.part_id,
        )


@command
def predict_entry_point(argv: Sequence[str] | None = None) -> None:
    """Predict with a model below ``nnUNet_results``."""
    args = _parse(predict_parser(), argv)

    from nnunetv2.utilities.file_path_utilities import get_output_folder

    _predict(args, get_output_folder(args.d, args.tr, args.p, args.c))


@command
def predict_entry_point_modelfolder(argv: Sequence[str] | None = None) -> None:
    """Predict with the model in a folder."""
    args = _parse(modelfolder_parser(), argv)
    _predict(args, args.m)
