"""What the options of a training do to a trainer: values, seeds, class weights, and when to end."""

from __future__ import annotations

import math
import os
import random
import time
from glob import escape as glob_escape
from glob import glob
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.training.distributed import gather_objects, rank
from nnunetv2.training.interruption import TimeIsUp
from nnunetv2.training.options import require_same, split_trainer_name

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

ATTRIBUTES = {
    "epochs": "num_epochs",
    "iterations_per_epoch": "num_iterations_per_epoch",
    "lr": "initial_lr",
    "precision": "precision",
    "keep_checkpoints": "keep_checkpoints",
}
NOT_DETERMINISTIC_ON_CUDA = (
    "INFO: --seed fixes initial weights, data order and augmentation. On CUDA losses still differ in their last digits "
    "between runs: cuDNN chooses algorithms by trial, some gradients are added up in any order, and float16 makes the "
    "differences larger. On the CPU, with the same number of threads, they are equal."
)


def apply_to_constructed(trainer: nnUNetTrainer) -> None:
    """Set what the options say on a trainer whose constructor has run; whatever they do not say stays."""
    options = trainer.training_options
    for option, attribute in ATTRIBUTES.items():
        if getattr(options, option) is not None:
            setattr(trainer, attribute, getattr(options, option))
    if options.precision is not None:
        trainer.grad_scaler = None  # only float16 needs one
    trainer.channels_last = trainer.channels_last or options.channels_last
    trainer.augment_on_device = trainer.augment_on_device or options.augment_on_device
    if options.batch_size is not None:
        trainer.configuration_manager.configuration["batch_size"] = options.batch_size
    if options.seed is not None:
        # Constructor and initialize run before any data are drawn, so initial weights follow from this.
        seed_everything(options.seed)
        if trainer.device.type == "cuda":
            trainer.print_to_log_file(NOT_DETERMINISTIC_ON_CUDA)
    if options.to_json():
        trainer.print_to_log_file(f"Options: {options.to_json()}", add_timestamp=False)


def apply_to_initialized(trainer: nnUNetTrainer) -> None:
    """Class weights into the cross-entropy. Raises UsageError for a loss without, or another number of labels.

    Says so when the trainer makes its optimizer with a learning rate of its own.
    """
    weights, lr = trainer.training_options.class_weights, trainer.training_options.lr
    if weights is not None:
        _set_class_weights(trainer, weights)
    groups = getattr(trainer.optimizer, "param_groups", ())
    if lr is not None and trainer.current_epoch == 0 and groups and not math.isclose(groups[0]["lr"], lr):
        trainer.print_to_log_file(
            f"WARNING: --lr is {lr}, but the optimizer of {type(trainer).__name__} starts with {groups[0]['lr']}"
        )


def _set_class_weights(trainer: nnUNetTrainer, weights: tuple[float, ...]) -> None:
    name, labels = type(trainer).__name__, trainer.label_manager
    modules = trainer.loss.modules() if isinstance(trainer.loss, nn.Module) else ()
    terms = [module for module in modules if isinstance(module, nn.CrossEntropyLoss)]
    if labels.has_regions or not terms:
        reason = "learns regions" if labels.has_regions else "has a loss without cross-entropy over labels"
        raise UsageError(f"--class-weights cannot be used here: {name} {reason}")
    if len(weights) != labels.num_segmentation_heads:
        raise UsageError(
            f"--class-weights has {len(weights)} numbers, but there are {labels.num_segmentation_heads} labels, "
            "background included"
        )
    for term in terms:
        term.weight = torch.tensor(weights, dtype=torch.float32, device=trainer.device)


def seed_everything(seed: int) -> None:
    """Seed the global generators of ``torch`` (all devices), ``numpy.random`` and ``random``."""
    torch.manual_seed(seed)
    np.random.seed(np.random.SeedSequence(seed).generate_state(4))
    random.seed(seed)


def loader_seed(trainer: nnUNetTrainer, for_training: bool) -> int | None:
    """Seed of a data loader; None without ``--seed``. Differs between processes."""
    if trainer.training_options.seed is None:
        return None
    source = [trainer.training_options.seed, rank(), int(for_training)]
    return int(np.random.SeedSequence(source).generate_state(1)[0])


def has_converged(trainer: nnUNetTrainer) -> bool:
    """Whether ``--patience`` epochs went by since the smoothed pseudo Dice was best; NaN counts as no improvement."""
    patience = trainer.training_options.patience
    if patience is None:
        return False
    values = list(trainer.logger.get_value("ema_fg_dice", step=None))
    known = [index for index, value in enumerate(values) if not math.isnan(value)]
    best = max(known, key=lambda index: values[index], default=-1)
    if len(values) - 1 - best < patience:
        return False
    trainer.print_to_log_file(
        f"No better smoothed pseudo Dice for {len(values) - 1 - best} epochs (--patience {patience}): training ends"
    )
    return True


def require_no_other_options(trainer: nnUNetTrainer) -> None:
    """Raise UsageError when this fold has checkpoints only under other options, which ``--c`` would pass by."""
    asked = trainer.training_options
    _, plans, configuration = os.path.basename(trainer.output_folder_base).split("__")
    models = glob_escape(os.path.dirname(trainer.output_folder_base))
    for folder in sorted(glob(f"{models}/*__{plans}__{configuration}")):
        name, options = split_trainer_name(os.path.basename(folder).split("__")[0])
        fold = os.path.join(folder, os.path.basename(trainer.output_folder))
        if name == type(trainer).__name__ and options != asked and glob(f"{glob_escape(fold)}/checkpoint_*.pth"):
            require_same(options.to_json(), asked, fold)


class Deadline:
    """``--max-hours``, counted from ``started``, else from here on. One rank that is out of time ends all of them."""

    def __init__(self, hours: float | None, started: float | None = None):
        self.seconds = None if hours is None else 3600 * hours
        self.last = time.monotonic()
        self.started = self.last if started is None else started
        self.longest = 0.0

    def check(self) -> None:
        """Call after each epoch. Raises TimeIsUp when another as long as the longest so far would not fit."""
        if self.seconds is None:
            return
        now = time.monotonic()
        self.longest, self.last = max(self.longest, now - self.last), now
        if any(gather_objects(now - self.started + self.longest > self.seconds)):
            raise TimeIsUp
