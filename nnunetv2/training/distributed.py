"""What one process needs to know about the others in training on several devices."""

from __future__ import annotations

import os
from typing import Any

from torch import distributed

from nnunetv2.errors import UsageError


def is_distributed() -> bool:
    """Whether this process belongs to an initialised group of processes."""
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """Number of this process in the group; 0 without a group."""
    return distributed.get_rank() if is_distributed() else 0


def local_rank() -> int:
    """Number of this process among those of its machine, which is also that of its GPU; 0 without a group.

    Launchers pass it in the variable ``LOCAL_RANK``. Without that the whole group is taken to be on one machine.
    """
    return int(os.environ.get("LOCAL_RANK") or rank()) if is_distributed() else 0


def world_size() -> int:
    """Number of processes in the group; 1 without a group."""
    return distributed.get_world_size() if is_distributed() else 1


def gather_objects(obj: Any) -> list[Any]:
    """The (picklable) objects of all ranks in rank order, on every rank. Every rank has to call it."""
    if not is_distributed():
        return [obj]
    gathered: list[Any] = [None] * world_size()
    distributed.all_gather_object(gathered, obj)
    return gathered


def share_of_batch(global_batch: int, oversample: float, rank: int, world: int) -> tuple[int, float]:
    """Batch size of one rank and the fraction of its samples that must contain foreground.

    ``oversample`` is the fraction for the whole batch. Its last samples are the ones with forced foreground, so high
    ranks get most of them; models trained so far were trained that way. Depends on the arguments only.
    Raises UsageError when there are more ranks than samples.
    """
    if world == 1:
        return global_batch, oversample
    if global_batch < world:
        raise UsageError(
            f"a batch of {global_batch} cannot be shared by {world} devices; use at most {global_batch} devices or "
            f"raise batch_size in the plans"
        )
    sizes = [global_batch // world + (r < global_batch % world) for r in range(world)]
    size, low = sizes[rank], sum(sizes[:rank])
    high = low + size
    if high / global_batch < 1 - oversample:
        return size, 0.0
    if low / global_batch > 1 - oversample:
        return size, 1.0
    first_forced = round(global_batch * (1 - oversample))
    return size, max(0, high - max(low, first_forced)) / size
