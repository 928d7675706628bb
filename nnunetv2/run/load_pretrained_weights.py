"""Starting a training from the weights of another model."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from nnunetv2.errors import CheckpointError
from nnunetv2.records.files import PathLike
from nnunetv2.training.checkpoint import match_state_dict_prefixes, read_checkpoint
from nnunetv2.training.network_wrapping import bare_network

logger = logging.getLogger(__name__)

# Output layers depend on the classes of the task, so they keep their random initialisation.
SEGMENTATION_LAYERS = ".seg_layers."

Shapes = dict[str, tuple[int, ...]]


class PretrainedWeightsError(CheckpointError, AssertionError):
    """The weights belong to another architecture; an AssertionError too, as callers have caught it so far."""


@dataclass(frozen=True, kw_only=True)
class WeightsComparison:
    """Names and shapes of the weights of a network and of a file, by what becomes of them."""

    matched: Shapes
    """Copied from the file."""
    kept: Shapes
    """Segmentation layers of the network, which keep their initialisation whatever the file holds."""
    unused: Shapes
    """In the file, but not in the network."""
    problems: tuple[str, ...]
    """Weights the network needs that are missing or of another shape, in words."""

    def lines(self, verbose: bool = False) -> list[str]:
        """The report: counts and what was skipped; with ``verbose`` the matched weights one by one, too."""
        report = [f"{len(self.matched)} of {len(self.matched) + len(self.kept)} weights are taken over"]
        report[0] += _listed(self.matched) if verbose and self.matched else ""
        if self.kept:
            report.append(f"{len(self.kept)} segmentation layer weights keep their initialisation{_listed(self.kept)}")
        if self.unused:
            report.append(f"{len(self.unused)} weights of the file are not used{_listed(self.unused)}")
        return report


def _listed(shapes: Shapes) -> str:
    return ":\n" + "\n".join(f"  {name} {shape}" for name, shape in shapes.items())


def compare_weights(state: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor]) -> WeightsComparison:
    """What of the weights ``given`` goes into a network with the weights ``state``; nothing is copied here."""
    wanted = [name for name in state if SEGMENTATION_LAYERS not in name]
    problems = [f"{name} {tuple(state[name].shape)} is missing" for name in wanted if name not in given]
    problems += [
        f"{name} has shape {tuple(given[name].shape)}, needed is {tuple(state[name].shape)}"
        for name in wanted
        if name in given and given[name].shape != state[name].shape
    ]
    return WeightsComparison(
        matched={n: tuple(state[n].shape) for n in wanted if n in given and given[n].shape == state[n].shape},
        kept={n: tuple(state[n].shape) for n in state if SEGMENTATION_LAYERS in n},
        unused={n: tuple(given[n].shape) for n in given if n not in state and SEGMENTATION_LAYERS not in n},
        problems=tuple(problems),
    )


def load_pretrained_weights(network: nn.Module, fname: PathLike, verbose: bool = False) -> None:
    """Copy all weights but those of the segmentation layers from checkpoint ``fname`` into ``network``, in place.

    Every other entry of the network must be in the file with the same shape; otherwise PretrainedWeightsError lists
    those that are not, and the network stays as it was. Nothing but weights is read from the file. A report of what
    was taken over and what was skipped is logged; ``verbose`` lists the former one by one.
    """
    checkpoint = read_checkpoint(fname)
    if "network_weights" not in checkpoint:
        raise CheckpointError(f"{fname} has no 'network_weights'; its entries are {', '.join(map(str, checkpoint))}")
    target = bare_network(network)
    state = target.state_dict()
    given = match_state_dict_prefixes(checkpoint["network_weights"], state)
    comparison = compare_weights(state, given)
    if comparison.problems:
        more = len(comparison.problems) - 5
        raise PretrainedWeightsError(
            f"{fname} does not fit the network to be trained: {'; '.join(comparison.problems[:5])}"
            + (f"; and {more} more" if more > 0 else "")
            + ". Use the plans of the pretrained model (nnUNetv2_move_plans_between_datasets), with the same number of "
            "input channels"
        )
    target.load_state_dict(state | {name: given[name] for name in comparison.matched})
    logger.info("Pretrained weights from %s: %s", fname, "\n".join(comparison.lines(verbose)))
