"""How much memory is left for work, and how many workers fit into it."""

from __future__ import annotations

import logging
from pathlib import Path

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


def _from_meminfo(path: Path) -> list[int]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return []
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]


def _from_cgroup(folder: Path) -> list[int]:
    """Limit minus use, version 2 or 1; empty when there is no limit."""
    for limit, use in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most, used = (folder / limit).read_text().strip(), (folder / use).read_text().strip()
        except OSError:
            continue
        if most.isdigit() and int(most) < 1 << 60:  # version 1 writes a huge number for no limit
            return [max(0, int(most) - int(used))]
    return []
