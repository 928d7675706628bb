"""Training on several GPUs of one machine: one process per GPU, joined in a torch.distributed group."""

from __future__ import annotations

import os

import torch
from torch import distributed, multiprocessing

from nnunetv2.cli.logs import configure_logging
from nnunetv2.errors import UsageError
from nnunetv2.run.run_training import find_free_network_port, train_and_validate
from nnunetv2.run.training_request import TrainingRequest


def launch(request: TrainingRequest, backend: str = "nccl") -> None:
    """Start ``request.num_gpus`` processes and wait for them. The port is ``MASTER_PORT`` if set, else a free one.

    ``backend`` is nccl for GPUs; gloo works on CPUs. Raises UsageError when there are fewer GPUs.
    """
    if backend == "nccl" and torch.cuda.device_count() < request.num_gpus:
        raise UsageError(
            f"-num_gpus is {request.num_gpus}, but torch sees {torch.cuda.device_count()} GPU(s) on this machine; "
            "check CUDA_VISIBLE_DEVICES"
        )
    port = int(os.environ.get("MASTER_PORT") or find_free_network_port())
    multiprocessing.spawn(train_in_group, (request, backend, port), nprocs=request.num_gpus, join=True)


def train_in_group(rank: int, request: TrainingRequest, backend: str, port: int) -> None:
    """What process number ``rank`` does."""
    configure_logging()
    if backend == "nccl":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        backend, init_method=f"tcp://localhost:{port}", rank=rank, world_size=request.num_gpus
    )
    try:
        train_and_validate(request)
    finally:
        distributed.destroy_process_group()
