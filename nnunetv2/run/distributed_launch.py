"""Training on several GPUs of one machine: one process per GPU, joined in a torch.distributed group."""

from __future__ import annotations

import os

import torch
from torch import distributed, multiprocessing

from nnunetv2.cli.logs import configure_logging
from nnunetv2.errors import UsageError
from nnunetv2.run.run_training import find_free_network_port, train_and_validate
from nnunetv2.run.training_request import TrainingRequest


def launch(request: TrainingRequest, processes: int, backend: str = "nccl") -> None:
    """Carry out ``request`` in that many processes and wait for them.

    They meet at port ``MASTER_PORT`` of this machine if that is set, else at a free one. ``backend`` is nccl for GPUs,
    one per process; gloo works on CPUs. Raises UsageError when there are fewer GPUs.
    """
    if backend == "nccl" and torch.cuda.device_count() < processes:
        raise UsageError(
            f"-num_gpus is {processes}, but torch sees {torch.cuda.device_count()} GPU(s) on this machine; "
            "check CUDA_VISIBLE_DEVICES"
        )
    port = int(os.environ.get("MASTER_PORT") or find_free_network_port())
    multiprocessing.spawn(train_in_group, (request, processes, backend, port), nprocs=processes, join=True)


def train_in_group(rank: int, request: TrainingRequest, processes: int, backend: str, port: int) -> None:
    """What process number ``rank`` does."""
    configure_logging()
    if backend == "nccl":
        torch.cuda.set_device(rank)
    distributed.init_process_group(backend, init_method=f"tcp://localhost:{port}", rank=rank, world_size=processes)
    try:
        train_and_validate(request)
    finally:
        distributed.destroy_process_group()
