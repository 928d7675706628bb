"""``nnUNetv2_train``: build a trainer by name, resume or start, train, validate. Imports nothing heavy."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
from collections.abc import Iterator, Sequence
from os.path import isfile, join
from typing import TYPE_CHECKING, Any

from nnunetv2.cli.arguments import add_device, add_trust_pickle, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.configuration import available_cpus, trusting_pickles
from nnunetv2.errors import CheckpointError, ClassNotFoundError, UsageError
from nnunetv2.records.layout import CHECKPOINT_BEST, CHECKPOINT_FINAL
from nnunetv2.run.training_flags import add_training_options, options_from
from nnunetv2.run.training_request import DEFAULT_PLANS, DEFAULT_TRAINER, TrainingRequest, parse_fold
from nnunetv2.training.options import CHECKPOINT_KEY, TrainingOptions, split_trainer_name

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

logger = logging.getLogger(__name__)


def find_free_network_port() -> int:
    """A TCP port of this machine that is free now. ``MASTER_PORT`` overrides it where it is used."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def get_trainer_from_args(
    dataset_name_or_id: int | str,
    configuration: str,
    fold: int | str,
    trainer_name: str = DEFAULT_TRAINER,
    plans_identifier: str = DEFAULT_PLANS,
    continue_training: bool = False,
    device: Any = "cuda",
    *,
    use_compressed: bool | None = None,
    options: TrainingOptions | None = None,
) -> nnUNetTrainer:
    """The trainer of that name for a data set that was planned; not initialized yet.

    The name may carry options, as the folder of its results does (``nnUNetTrainer_ep250``), unless a class has it.

    The sixth argument was ``use_compressed`` up to 2.5 (accepted by keyword, no effect) and ``device`` in 2.6 (accepted
    by position). Raises MissingFileError, PlansError, ClassNotFoundError or UsageError.
    """
    if not isinstance(continue_training, (bool, int)):
        continue_training, device = False, continue_training
    from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
    from nnunetv2.paths import nnUNet_preprocessed
    from nnunetv2.records.layout import plans_file
    from nnunetv2.records.plans import resolve_configuration
    from nnunetv2.training.preflight import read_plans_and_dataset_json
    from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name

    fold = parse_fold(fold)
    dataset_name = maybe_convert_to_dataset_name(dataset_name_or_id)
    plans, dataset_json = read_plans_and_dataset_json(dataset_name, plans_identifier)
    resolve_configuration(plans, configuration)

    import torch

    from nnunetv2.training.applied_options import apply_to_constructed
    from nnunetv2.training.signature_compat import construct_trainer, default_network

    trainer_class, options = _class_and_options(trainer_name, options or TrainingOptions())
    file = plans_file(join(nnUNet_preprocessed, dataset_name), plans_identifier)
    own_network = trainer_class.build_network_architecture is not default_network
    check_before_work(plans, file, [configuration], "train", dataset_json, own_network)
    plans["continue_training"] = bool(continue_training)
    if options.to_json():
        plans[CHECKPOINT_KEY] = options.to_json()
    trainer = construct_trainer(trainer_class, plans, configuration, fold, dataset_json, torch.device(device))
    apply_to_constructed(trainer)
    return trainer


def _class_and_options(name: str, options: TrainingOptions) -> tuple[type, TrainingOptions]:
    """The class of that name, else of the name without its options, which then join ``options``."""
    from nnunetv2.utilities import find_objects

    bare_name, named = split_trainer_name(name)
    try:
        return find_objects.recursive_find_trainer_class_by_name(name), options
    except ClassNotFoundError:
        if not named.learned:
            raise
    return find_objects.recursive_find_trainer_class_by_name(bare_name), options.joined(named, name)


def maybe_load_checkpoint(
    nnunet_trainer: nnUNetTrainer,
    continue_training: bool,
    validation_only: bool,
    pretrained_weights_file: str | None = None,
) -> None:
    """Load what a run starts from: final, else latest, else best checkpoint to continue; final to validate only.

    To continue, ``resume_point`` says what takes the place of an unreadable one. A training that is neither continued
    nor only validated may start from ``pretrained_weights_file``. Raises UsageError for arguments that exclude each
    other, CheckpointError (a RuntimeError) without a checkpoint to start from.
    """
    from nnunetv2.run.resume_point import resume_point
    from nnunetv2.training.applied_options import require_no_other_options

    if continue_training and (validation_only or pretrained_weights_file is not None):
        raise UsageError("a training that is continued can neither be validated only nor start from other weights")
    folder = nnunet_trainer.output_folder
    if validation_only:
        final = join(folder, CHECKPOINT_FINAL)
        if not isfile(final):
            raise CheckpointError(f"{final} does not exist: this training is not finished. Continue it with --c")
        nnunet_trainer.load_checkpoint(final)
    elif continue_training:
        found, note = resume_point(folder)
        if found is None:
            require_no_other_options(nnunet_trainer)
        if note is not None and nnunet_trainer.local_rank == 0:
            nnunet_trainer.print_to_log_file(note)
        if found is not None:
            nnunet_trainer.load_checkpoint(found)
    elif pretrained_weights_file is not None:
        from nnunetv2.run import load_pretrained_weights as module  # looked up when used: others replace the function

        if not nnunet_trainer.was_initialized:
            nnunet_trainer.initialize()
        module.load_pretrained_weights(nnunet_trainer.network, pretrained_weights_file, verbose=True)


def run_training(
    dataset_name_or_id: int | str,
    configuration: str,
    fold: int | str,
    trainer_class_name: str = DEFAULT_TRAINER,
    plans_identifier: str = DEFAULT_PLANS,
    pretrained_weights: str | None = None,
    num_gpus: int = 1,
    export_validation_probabilities: bool = False,
    continue_training: bool = False,
    only_run_validation: bool = False,
    disable_checkpointing: bool = False,
    val_with_best: bool = False,
    device: Any = "cuda",
    *,
    use_compressed_data: bool = False,
    skip_validation: bool = False,
    options: TrainingOptions | None = None,
) -> None:
    """Train one fold and predict its validation cases; ``device`` is a name or a ``torch.device``.

    With ``num_gpus`` above 1 one process per GPU is started. Called by torchrun, in each of its processes, this is one
    of them. ``use_compressed_data`` (up to 2.5) has no effect.
    """
    request = TrainingRequest(
        dataset_name_or_id=dataset_name_or_id,
        configuration=configuration,
        fold=parse_fold(fold),
        trainer_class_name=trainer_class_name,
        plans_identifier=plans_identifier,
        pretrained_weights=None if only_run_validation else pretrained_weights,
        num_gpus=int(num_gpus),
        export_validation_probabilities=export_validation_probabilities,
        continue_training=continue_training,
        only_run_validation=only_run_validation,
        disable_checkpointing=disable_checkpointing,
        val_with_best=val_with_best,
        skip_validation=skip_validation,
        device=str(device),
        options=options or TrainingOptions(),
    )
    if started_by_torchrun():
        from nnunetv2.run.distributed_launch import train_under_torchrun

        train_under_torchrun(request)
    elif request.num_gpus > 1:
        from nnunetv2.run.distributed_launch import launch

        launch(request, request.num_gpus)
    else:
        train_and_validate(request)


def started_by_torchrun() -> bool:
    """Whether the environment says that this is one of several processes (``RANK``, and a ``WORLD_SIZE`` above 1)."""
    return bool(os.environ.get("RANK")) and os.environ.get("WORLD_SIZE", "1") != "1"


def train_and_validate(request: TrainingRequest) -> None:
    """Carry out ``request`` in this process, which may be one of several under DDP."""
    from nnunetv2.training import agreement

    trainer = agreement.all_or_none(lambda: _trainer_for(request))
    agreement.require_same_task(trainer, request.facts())
    start = request.continue_training, request.only_run_validation, request.pretrained_weights
    agreement.all_or_none(lambda: maybe_load_checkpoint(trainer, *start))
    if request.only_run_validation:
        agreement.require_same_start(trainer)
    with fast_convolutions():
        if not request.only_run_validation:
            trainer.run_training()
        if request.val_with_best:
            trainer.load_checkpoint(join(trainer.output_folder, CHECKPOINT_BEST))
        if not request.skip_validation:
            trainer.perform_actual_validation(request.export_validation_probabilities)


def _trainer_for(request: TrainingRequest) -> nnUNetTrainer:
    trainer = get_trainer_from_args(
        request.dataset_name_or_id,
        request.configuration,
        request.fold,
        request.trainer_class_name,
        request.plans_identifier,
        request.continue_training,
        device=request.device,
        options=request.options,
    )
    if request.disable_checkpointing:
        trainer.disable_checkpointing = True
    return trainer


@contextlib.contextmanager
def fast_convolutions() -> Iterator[None]:
    """Let cuDNN choose its fastest algorithms by trial, which pays off as patches all have the same size."""
    import torch

    cudnn = torch.backends.cudnn
    before = cudnn.benchmark, cudnn.deterministic
    if torch.cuda.is_available():
        cudnn.benchmark, cudnn.deterministic = True, False
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = before


def use_threads_for(device: str) -> None:
    """One torch thread beside a GPU, since the data workers need the CPUs; all of them when training on the CPU.

    Processes that torchrun started on this machine share them.
    """
    import torch

    if device == "cpu":
        sharers = int(os.environ.get("LOCAL_WORLD_SIZE") or 1)
        torch.set_num_threads(max(1, available_cpus() // sharers))
    elif device == "cuda":
        torch.set_num_threads(1)
        with contextlib.suppress(RuntimeError):  # can be set only once, and only before torch has worked
            torch.set_num_interop_threads(1)


def training_parser() -> argparse.ArgumentParser:
    """The arguments of ``nnUNetv2_train``."""
    parser = command_parser("nnUNetv2_train", "Train one fold of a configuration, then predict its validation cases.")
    add = parser.add_argument
    add("dataset_name_or_id", type=str, help="number or full name of the data set")
    add("configuration", type=str, help="name of a configuration in the plans, such as 3d_fullres")
    add("fold", type=str, help="number of the fold, or all (train and validate on every case)")
    add("-tr", type=str, default=DEFAULT_TRAINER, metavar="TRAINER", help="name of the trainer class")
    add("-p", type=str, default=DEFAULT_PLANS, metavar="PLANS", help="name of the plans")
    add("-pretrained_weights", type=str, default=None, metavar="FILE", help="checkpoint to take the first weights from")
    add("-num_gpus", type=int, default=1, help="number of GPUs to train on")
    add("--npz", action="store_true", help="also store probabilities of the validation cases (for ensembling)")
    add("--c", action="store_true", help="continue from the final, latest or best checkpoint, if there was a training")
    add("--val", action="store_true", help="only validate; needs checkpoint_final.pth")
    add("--val_best", action="store_true", help="validate with checkpoint_best.pth, into the same folder")
    add("--disable_checkpointing", action="store_true", help="write no checkpoints (for trying things out)")
    add("--skip_validation", action="store_true", help="end after training; validate later with --val")
    add("--use_compressed", action="store_true", help="no effect; accepted for scripts written for v2.5 and before")
    add_device(parser)
    add_training_options(parser)
    add_trust_pickle(parser)
    return parser


@command
def run_training_entry(argv: Sequence[str] | None = None) -> None:
    """Train from the command line."""
    args = training_parser().parse_args(argv)
    fold = parse_fold(args.fold)
    if args.p == DEFAULT_PLANS:
        logger.info(
            "Training with the default plans. The residual encoder presets (for example -p nnUNetResEncUNetLPlans) "
            "usually segment better; see documentation/resenc_presets.md."
        )
    use_threads_for(args.device)
    with trusting_pickles(args.trust_pickle):
        run_training(
            args.dataset_name_or_id,
            args.configuration,
            fold,
            args.tr,
            args.p,
            args.pretrained_weights,
            args.num_gpus,
            args.npz,
            args.c,
            args.val,
            args.disable_checkpointing,
            args.val_best,
            args.device,
            use_compressed_data=args.use_compressed,
            skip_validation=args.skip_validation,
            options=options_from(args),
        )


if __name__ == "__main__":  # torchrun ... -m nnunetv2.run.run_training
    run_training_entry()
