"""Work on arrays shared among torch's threads, a large piece at a time.

torch shares every single operation, with a barrier after each: thousands of them in a network whose layers are done in
pieces that fit into the cache, and each takes a time slice when somebody else works on a core. Here every thread takes
whole pieces until none is left.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")

_pools: dict[int, ThreadPoolExecutor] = {}
_lock = threading.Lock()


def share(pieces: Sequence[Piece], work: Callable[[Iterator[Piece]], None]) -> None:
    """Call ``work`` in as many threads as torch has here, all of them with the same iterator over ``pieces``.

    Torch has one thread in each, and no gradients. Pieces must not depend on each other. An exception of one thread
    is raised here once all have ended.
    """
    threads = min(torch.get_num_threads(), len(pieces))
    shared = iter(pieces)
    if threads <= 1:
        work(shared)
        return
    with _lock:
        if threads not in _pools:
            _pools[threads] = ThreadPoolExecutor(
                threads, f"{threads} pieces", initializer=torch.set_num_threads, initargs=(1,)
            )
        pool = _pools[threads]
    count = torch.get_num_threads()
    futures = [pool.submit(_without_gradients, work, shared) for _ in range(threads)]
    errors = [error for error in (future.exception() for future in futures) if error is not None]
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    if errors:
        raise errors[0]


def _without_gradients(work: Callable[[Iterator[Piece]], None], pieces: Iterator[Piece]) -> None:
    with torch.inference_mode():
        work(pieces)


# Threads do not survive a fork, and pools do not notice.
os.register_at_fork(after_in_child=_pools.clear)
