"""Starting a training from the weights of another model."""

from __future__ import annotations

import logging

from torch import nn

from nnunetv2.errors import CheckpointError
from nnunetv2.records.files import PathLike
from nnunetv2.training.checkpoint import match_state_dict_prefixes, read_checkpoint
from nnunetv2.training.network_wrapping import bare_network

logger = logging.getLogger(__name__)

# Output layers depend on the classes of the task, so they keep their random initialisation.
SEGMENTATION_LAYERS = ".seg_layers."


class PretrainedWeightsError(CheckpointError, AssertionError):
    """The weights belong to another architecture; an AssertionError too, as callers have caught it so far."""


def load_pretrained_weights(network: nn.Module, fname: PathLike, verbose: bool = False) -> None:
    """Copy all weights but those of the segmentation layers from checkpoint ``fname`` into ``network``, in place.

    Every other entry of the network must be in the file with the same shape; otherwise PretrainedWeightsError lists
    those that are not. Nothing but weights is read from the file. ``verbose`` logs each entry.
    """
    checkpoint = read_checkpoint(fname)
    if "network_weights" not in checkpoint:
        raise CheckpointError(f"{fname} has no 'network_weights'; its entries are {', '.join(map(str, checkpoint))}")
    target = bare_network(network)
    state = target.state_dict()
    given = match_state_dict_prefixes(checkpoint["network_weights"], state)
    wanted = [name for name in state if SEGMENTATION_LAYERS not in name]
    problems = [f"{name} is missing" for name in wanted if name not in given]
    problems += [
        f"{name} has shape {tuple(given[name].shape)}, needed is {tuple(state[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != state[name].shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise PretrainedWeightsError(
            f"{fname} does not fit the network to be trained: {'; '.join(problems[:5])}{more}. Use the plans of the "
            "pretrained model (nnUNetv2_move_plans_between_datasets), with the same number of input channels"
        )
    target.load_state_dict(state | {name: given[name] for name in wanted})
    level = logging.INFO if verbose else logging.DEBUG
    for name in wanted:
        logger.log(level, "loaded %s %s", name, tuple(given[name].shape))
    logger.info("Loaded %d of %d weight entries from %s", len(wanted), len(state), fname)
