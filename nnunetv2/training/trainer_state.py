"""What a checkpoint holds of a trainer, and how a trainer goes on from it.

Keys and meaning are those of nnU-Net v2, so that checkpoints can be exchanged; values that are not tensors are plain
Python, so that they load without executing anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from nnunetv2.errors import CheckpointError
from nnunetv2.records.files import PathLike
from nnunetv2.training.checkpoint import match_state_dict_prefixes, read_checkpoint, require_matching_state_dict
from nnunetv2.training.network_wrapping import bare_network
from nnunetv2.training.options import CHECKPOINT_KEY, require_same
from nnunetv2.training.random_states import random_states

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


def checkpoint_content(trainer: nnUNetTrainer) -> dict[str, Any]:
    """The nine entries, the options of the command line if there are any, and with ``--seed`` what is random.

    ``current_epoch`` is the number of the next epoch. ``random_states`` is described there; ``loader_position`` is the
    number of training and validation batches so far.
    """
    scaler, options = trainer.grad_scaler, trainer.training_options.to_json()
    content = {
        "network_weights": bare_network(trainer.network).state_dict(),
        "optimizer_state": trainer.optimizer.state_dict(),
        "grad_scaler_state": None if scaler is None else scaler.state_dict(),
        "logging": trainer.logger.get_checkpoint(),
        "_best_ema": None if trainer._best_ema is None else float(trainer._best_ema),
        "current_epoch": trainer.current_epoch + 1,
        "init_args": trainer.my_init_kwargs,
        "trainer_name": type(trainer).__name__,
        "inference_allowed_mirroring_axes": trainer.inference_allowed_mirroring_axes,
    }
    if options:
        content[CHECKPOINT_KEY] = options
    if trainer.training_options.seed is not None:
        content["random_states"] = random_states(trainer.device)
        content["loader_position"] = {name: getattr(trainer.position, name) for name in ("training", "validation")}
    return content


_NEEDED = ("network_weights", "init_args", "current_epoch", "logging", "_best_ema")


def restore(trainer: nnUNetTrainer, source: PathLike | Mapping[str, Any]) -> None:
    """Set weights, optimizer, scaler, logged values, epoch and mirror axes of an initialized trainer.

    ``source`` is a file or its content. Raises CheckpointError when it is not a checkpoint of this network.
    """
    title = "the checkpoint" if isinstance(source, Mapping) else str(source)
    checkpoint = source if isinstance(source, Mapping) else read_checkpoint(source)
    missing = [key for key in _NEEDED if key not in checkpoint]
    if missing:
        raise CheckpointError(
            f"{title} has no {', '.join(missing)}: it serves to predict, or to start from with -pretrained_weights, "
            "but no training can go on from it"
        )
    require_same(checkpoint.get(CHECKPOINT_KEY, {}), trainer.training_options, title)
    _load_weights(bare_network(trainer.network), checkpoint["network_weights"], title)
    trainer.my_init_kwargs = checkpoint["init_args"]
    trainer.current_epoch = checkpoint["current_epoch"]
    trainer.logger.load_checkpoint(checkpoint["logging"])
    trainer._best_ema = checkpoint["_best_ema"]
    axes = "inference_allowed_mirroring_axes"  # absent in the oldest files
    trainer.inference_allowed_mirroring_axes = checkpoint.get(axes, trainer.inference_allowed_mirroring_axes)
    _restore_position(trainer, checkpoint)
    if checkpoint.get("optimizer_state") is not None:
        trainer.optimizer.load_state_dict(checkpoint["optimizer_state"])
    if trainer.grad_scaler is not None and checkpoint.get("grad_scaler_state"):
        trainer.grad_scaler.load_state_dict(checkpoint["grad_scaler_state"])


def _restore_position(trainer: nnUNetTrainer, checkpoint: Mapping[str, Any]) -> None:
    """Where the streams of random numbers go on. The states are the first rank's; others have none to go on from."""
    position = trainer.position
    counted = checkpoint.get("loader_position", {})
    position.training = counted.get("training", trainer.current_epoch * trainer.num_iterations_per_epoch)
    position.validation = counted.get("validation", trainer.current_epoch * trainer.num_val_iterations_per_epoch)
    if trainer.training_options.seed is not None and trainer.local_rank == 0:
        position.random_states = checkpoint.get("random_states")


def _load_weights(network: nn.Module, state: Mapping[str, Any], source: PathLike) -> None:
    expected = network.state_dict()
    weights = match_state_dict_prefixes(state, expected)
    require_matching_state_dict(weights, expected, source)
    network.load_state_dict(weights)
