"""Runs a test function in several processes that form a gloo group."""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _in_group(rank: int, world: int, meeting_point: str, results: Any, function: Callable, args: tuple) -> None:
    import torch

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=world)
    try:
        results.put((rank, function(rank, *args)))
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def run_in_processes(function: Callable, world: int, *args: Any) -> list[Any]:
    """``function(rank, *args)`` of every rank, in rank order. The function must belong to a module."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with tempfile.TemporaryDirectory() as folder:
        meeting_point = str(Path(folder, "group"))
        processes = [
            context.Process(target=_in_group, args=(rank, world, meeting_point, results, function, args))
            for rank in range(world)
        ]
        for process in processes:
            process.start()
        collected = dict(results.get(timeout=120) for _ in processes)
        for process in processes:
            process.join(60)
    return [collected[rank] for rank in range(world)]
