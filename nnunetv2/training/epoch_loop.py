"""The loop over epochs, and where in it a training stands.

With ``--seed`` a training can be resumed exactly. Batches are numbered: each follows from the seed, the process and
its number, whoever makes it, so the position of a loader is one number. Checkpoints hold it, and the states of the
random generators of the first process. They are those of the end of an epoch. When a training is interrupted within
one, what is saved is its beginning, which is kept in memory for that, and the epoch is done again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os.path import join
from typing import TYPE_CHECKING, Any

import torch

from nnunetv2.records.layout import CHECKPOINT_LATEST
from nnunetv2.training import nonfinite
from nnunetv2.training.applied_options import Deadline, has_converged
from nnunetv2.training.checkpoint import checkpoint_bytes, write_checkpoint_bytes
from nnunetv2.training.checkpoint_rotation import rotation_of
from nnunetv2.training.interruption import saved_when_interrupted
from nnunetv2.training.random_states import set_random_states
from nnunetv2.training.trainer_state import checkpoint_content

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


@dataclass
class Position:
    """How far a training is within the streams of random numbers."""

    training: int = 0
    """Batches of the training loader that were learned from."""
    validation: int = 0
    iteration: int | None = None
    """Number of the current batch within its epoch, training or validation."""
    random_states: Mapping[str, Any] | None = field(default=None, repr=False)
    """Those of a checkpoint, until training goes on from them."""
    epoch_start: bytes | None = field(default=None, repr=False)
    """The checkpoint of the beginning of the current epoch, where it is kept."""


def run_epochs(trainer: nnUNetTrainer, started: float) -> None:
    """Train from ``current_epoch`` to ``num_epochs``, or until an option says that it is enough.

    ``started`` is the value of ``time.monotonic()`` from which on ``--max-hours`` counts. SIGTERM, SIGUSR1, Ctrl+C and
    the end of that time leave a latest checkpoint behind.
    """
    position = trainer.position
    if position.random_states is not None:
        # Making network and loaders has drawn numbers since the checkpoint was read.
        set_random_states(position.random_states, trainer.device)
        position.random_states = None
    deadline = Deadline(trainer.training_options.max_hours, started)
    with saved_when_interrupted(lambda: _save_interrupted(trainer)):
        while trainer.current_epoch < trainer.num_epochs and not has_converged(trainer):
            position.epoch_start = _epoch_start(trainer)
            _run_epoch(trainer)
            position.epoch_start = None
            if trainer.current_epoch < trainer.num_epochs:
                deadline.check()


def _run_epoch(trainer: nnUNetTrainer) -> None:
    position = trainer.position
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    outputs = [_training_step(trainer, iteration) for iteration in range(trainer.num_iterations_per_epoch)]
    position.training += len(outputs)
    trainer.on_train_epoch_end(outputs)
    with torch.no_grad():
        trainer.on_validation_epoch_start()
        outputs = [_validation_step(trainer, iteration) for iteration in range(trainer.num_val_iterations_per_epoch)]
        position.validation += len(outputs)
        trainer.on_validation_epoch_end(outputs)
    trainer.on_epoch_end()


def _training_step(trainer: nnUNetTrainer, iteration: int) -> dict:
    trainer.position.iteration = iteration
    batch = next(trainer.dataloader_train)
    output = trainer.train_step(batch)
    nonfinite.require_finite_output(trainer, batch, output)
    return output


def _validation_step(trainer: nnUNetTrainer, iteration: int) -> dict:
    trainer.position.iteration = iteration
    batch = next(trainer.dataloader_val)
    output = trainer.validation_step(batch)
    nonfinite.warn_of_output(trainer, batch, output)
    return output


@contextmanager
def at_epoch_start(trainer: nnUNetTrainer) -> Iterator[None]:
    """Inside the block checkpoints have ``current_epoch`` as the next epoch; usually it is taken for finished."""
    trainer.current_epoch -= 1
    try:
        yield
    finally:
        trainer.current_epoch += 1


def _epoch_start(trainer: nnUNetTrainer) -> bytes | None:
    """The checkpoint to write when the epoch that begins is interrupted; None where that of the moment will do.

    That is without ``--seed``, since nothing can be exact then, and less is lost. A trainer with a ``save_checkpoint``
    of its own may store more than we know.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer as base

    if trainer.training_options.seed is None or trainer.local_rank != 0 or trainer.disable_checkpointing:
        return None
    if type(trainer).save_checkpoint is not base.save_checkpoint:
        return None
    with at_epoch_start(trainer):
        return checkpoint_bytes(checkpoint_content(trainer))


def _save_interrupted(trainer: nnUNetTrainer) -> None:
    path = join(trainer.output_folder, CHECKPOINT_LATEST)
    if trainer.position.epoch_start is None:
        with at_epoch_start(trainer):
            trainer.save_checkpoint(path)
    else:
        write_checkpoint_bytes(path, trainer.position.epoch_start, rotation_of(path, trainer.keep_checkpoints))
