"""How much memory is left for work, and how many workers fit into it."""

from __future__ import annotations

import logging
from pathlib import Path

from nnunetv2.configuration import switch_from_environment
from nnunetv2.errors import MemoryLimitError
from nnunetv2.utilities.disk_space import VARIABLE, in_words

logger = logging.getLogger(__name__)

# A worker that has imported what preprocessing needs, its own memory.
_WORKER_BYTES = 128 * 2**20
# What is left for everything else on the machine.
_SHARE_TO_USE = 0.8


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that can be allocated without swapping: what the kernel has, and what the control group allows.

    None where neither can be found out (not on Linux). ``root`` is for tests.
    """
    found = [*_from_meminfo(root / "proc/meminfo"), *_from_cgroup(root / "sys/fs/cgroup")]
    return min(found) if found else None


def workers_that_fit(workers: int, bytes_per_worker: int, what: str, memory: int | None = None) -> int:
    """``workers``, or fewer (at least 1) when memory is short; says so in the log. ``memory``: as available_memory."""
    memory = available_memory() if memory is None else memory
    if memory is None or workers <= 1:
        return workers
    fitting = max(1, int(memory * _SHARE_TO_USE) // (bytes_per_worker + _WORKER_BYTES))
    if fitting < workers:
        logger.info(
            "%s: %d instead of %d processes, because the largest case needs about %.1f GiB and %.1f GiB are available",
            what, fitting, workers, bytes_per_worker / 2**30, memory / 2**30,
        )  # fmt: skip
    return min(workers, fitting)


def require_memory(needed: int, what: str, way_out: str, root: Path = Path("/")) -> None:
    """Raise MemoryLimitError when ``needed`` bytes exceed all memory and swap there is, or the control group's limit.

    ``needed`` should be what is used in any case. ``what`` is the beginning of a sentence, ``way_out`` one of its own
    without the full stop. ``nnUNet_ignore_resources=1`` turns the check off. ``root`` is for tests.
    """
    meminfo = root / "proc/meminfo"
    swap = sum(_from_meminfo(meminfo, "SwapTotal"))
    limits = [*_from_meminfo(meminfo, "MemTotal"), *(limit for limit, _ in _of_cgroup(root / "sys/fs/cgroup"))]
    if not limits or needed <= min(limits) + swap or switch_from_environment(VARIABLE):
        return
    raise MemoryLimitError(
        f"{what} needs at least {in_words(needed)} of memory; there are {in_words(min(limits))} and "
        f"{in_words(swap)} of swap. {way_out}, or set {VARIABLE}=1 to go on anyway"
    )


def _from_meminfo(path: Path, entry: str = "MemAvailable") -> list[int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{entry}:")]


def _from_cgroup(folder: Path) -> list[int]:
    """Limit minus use; empty when there is no limit."""
    return [max(0, limit - used) for limit, used in _of_cgroup(folder)]


def _of_cgroup(folder: Path) -> list[tuple[int, int]]:
    """Limit and use, version 2 or 1; empty when there is no limit."""
    for limit, use in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, used = (folder / limit).read_text().strip(), (folder / use).read_text().strip()
        except OSError:
            continue
        if most.isdigit() and int(most) < 1 << 60:  # version 1 writes a huge number for no limit
            return [(int(most), int(used))]
    return []
