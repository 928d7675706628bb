"""Training in several processes joined in a torch.distributed group, started here or by torchrun on any machines.

The processes exchange losses and other small objects over gloo also where gradients go over NCCL: that works before
any GPU is touched, and between processes that turn out to be set up differently.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, multiprocessing

from nnunetv2.cli.logs import configure_logging
from nnunetv2.errors import NNUNetError, UsageError
from nnunetv2.run.run_training import find_free_network_port, train_and_validate
from nnunetv2.run.training_request import TrainingRequest
from nnunetv2.training.interruption import STATUSES, handled

BACKENDS = {"nccl": "cpu:gloo,cuda:nccl", "gloo": "gloo"}


@dataclass(frozen=True, kw_only=True)
class Seat:
    """The place of one process in a group."""

    rank: int
    """Number among all processes."""
    local_rank: int
    """Number among those of this machine, and of its GPU."""
    world_size: int
    """Number of processes."""
    meeting_point: str
    """URL of the first process; ``env://`` reads it from ``MASTER_ADDR`` and ``MASTER_PORT``."""


def seat_from_environment() -> Seat:
    """The seat that torchrun gave this process. Raises UsageError when a variable of it is missing or no number."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise UsageError(
            f"RANK and WORLD_SIZE are set, as by torchrun, but {', '.join(missing)} not. Start the training with "
            "torchrun, or set all of them; for a training in one process unset RANK and WORLD_SIZE"
        )
    try:
        rank, world_size, local_rank, _, _ = (int(os.environ[n]) if n != "MASTER_ADDR" else 0 for n in names)
    except ValueError as error:
        found = ", ".join(f"{name}={os.environ[name]}" for name in names)
        raise UsageError(f"one of the variables {found} is not a number") from error
    return Seat(rank=rank, local_rank=local_rank, world_size=world_size, meeting_point="env://")


def train_under_torchrun(request: TrainingRequest) -> None:
    """Carry out ``request`` as one of the processes that torchrun started."""
    if request.num_gpus != 1:
        raise UsageError(
            f"-num_gpus {request.num_gpus} starts processes, but torchrun has done so already "
            f"({os.environ['WORLD_SIZE']}). Leave out -num_gpus, or start without torchrun"
        )
    _train_at(seat_from_environment(), request, "nccl" if request.device.startswith("cuda") else "gloo")


def launch(request: TrainingRequest, processes: int, backend: str = "nccl") -> None:
    """Carry out ``request`` in that many processes of this machine and wait for them.

    They meet at port ``MASTER_PORT`` of this machine if that is set, else at a free one. ``backend`` is nccl for GPUs,
    one per process; gloo works on CPUs. SIGTERM and SIGUSR1 are passed on. Raises UsageError when there are fewer GPUs,
    and what a process raised; ends with the exit status of one that was interrupted.
    """
    if backend == "nccl" and torch.cuda.device_count() < processes:
        raise UsageError(
            f"-num_gpus is {processes}, but torch sees {torch.cuda.device_count()} GPU(s) on this machine; "
            "check CUDA_VISIBLE_DEVICES"
        )
    port = int(os.environ.get("MASTER_PORT") or find_free_network_port())
    errors = multiprocessing.get_context("spawn").SimpleQueue()
    try:
        group = multiprocessing.spawn(
            train_in_group, (request, processes, backend, port, errors), nprocs=processes, join=False
        )
        with handled(lambda number, _: _pass_on(number, group.processes)):
            while not group.join():
                pass
    except multiprocessing.ProcessExitedException as ended:
        if not errors.empty():
            raise errors.get() from None
        if ended.exit_code in STATUSES:
            raise SystemExit(ended.exit_code) from None
        raise


def _pass_on(number: int, processes: Sequence[Any]) -> None:
    """Send signal ``number``, which arrived here, to those that train: they save and leave, and with them this one."""
    for process in processes:
        if process.is_alive():
            os.kill(process.pid, number)


def train_in_group(
    rank: int, request: TrainingRequest, processes: int, backend: str, port: int, errors: Any = None
) -> None:
    """What process number ``rank`` does. What a user can repair goes to the queue ``errors``, without a traceback."""
    configure_logging()
    os.environ["LOCAL_RANK"] = str(rank)
    seat = Seat(rank=rank, local_rank=rank, world_size=processes, meeting_point=f"tcp://localhost:{port}")
    try:
        _train_at(seat, request, backend)
    except NNUNetError as error:
        if errors is None:
            raise
        errors.put(error)
        raise SystemExit(1) from error


def _train_at(seat: Seat, request: TrainingRequest, backend: str) -> None:
    if backend == "nccl":
        if seat.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {seat.local_rank} of this machine needs a GPU of its own, but torch sees "
                f"{torch.cuda.device_count()}; start fewer (--nproc_per_node), or check CUDA_VISIBLE_DEVICES"
            )
        torch.cuda.set_device(seat.local_rank)
    distributed.init_process_group(
        BACKENDS[backend], init_method=seat.meeting_point, rank=seat.rank, world_size=seat.world_size
    )
    try:
        train_and_validate(request)
    finally:
        distributed.destroy_process_group()
