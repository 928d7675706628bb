"""What happens inside a worker that makes training batches: one for each time it is asked."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from nnunetv2.errors import WorkerError
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS
from nnunetv2.utilities.worker_stacks import write_stacks_to

ASK = b"batch"
BATCH, FAILED = "batch", "failed"


def make_batches(
    connection: Connection,
    number: int,
    loader: Any,
    transform: Callable[..., dict] | None,
    seed: int | None,
    stack_file: str,
) -> None:
    """Answer every request with ``(BATCH, batch, "")``, or once with ``(FAILED, (error, where), traceback)``.

    Tensors go through shared memory. Ends when the parent is gone.
    """
    # A forked worker has its parent's handlers, and Ctrl+C reaches all processes: the parent ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    write_stacks_to(stack_file)
    torch.set_num_threads(1)
    if seed is not None:
        torch.manual_seed(seed)
    np.random.seed(seed)
    loader.set_thread_id(number)
    with threadpool_limits(1):
        goes_on = True
        while goes_on and _is_asked(connection):
            goes_on, message = _batch(loader, transform)
            goes_on = _send(connection, message) and goes_on


def _is_asked(connection: Connection) -> bool:
    """Wait for a request; False when the parent is gone, whose end of the pipe other workers may hold open."""
    parent = multiprocessing.parent_process()
    try:
        while not connection.poll(SECONDS_BETWEEN_LOOKS):
            if parent is not None and not parent.is_alive():
                return False
        return connection.recv_bytes() == ASK
    except (EOFError, OSError):
        return False


def _batch(loader: Any, transform: Callable[..., dict] | None) -> tuple[bool, bytes | memoryview]:
    """Whether there is a batch, and the message with it or with what went wrong."""
    try:
        batch = next(loader)
        if transform is not None:
            batch = transform(**batch)
        return True, ForkingPickler.dumps((BATCH, batch, ""))
    except Exception as error:
        return False, _failure(error, loader)


def _failure(error: Exception, loader: Any) -> bytes:
    keys = getattr(loader, "keys_at_work", ())
    where = f"making a batch of the cases {', '.join(map(str, keys))}" if len(keys) else "making a batch"
    text = "".join(traceback.format_exception(error))
    try:
        message = pickle.dumps((FAILED, (error, where), text))
        pickle.loads(message)
    except Exception:
        return pickle.dumps((FAILED, (WorkerError(f"{type(error).__name__}: {error}"), where), text))
    return message


def _send(connection: Connection, message: bytes | memoryview) -> bool:
    try:
        connection.send_bytes(message)
    except OSError:
        return False
    return True
