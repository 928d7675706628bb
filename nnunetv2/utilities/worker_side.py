"""What happens inside a worker process: calls come through a pipe, and their outcomes go back."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import NoReturn

from nnunetv2.errors import WorkerError
from nnunetv2.utilities.worker_stacks import write_stacks_to

READY, FINISHED, RAISED = "ready", "finished", "raised"


class WorkerTraceback(Exception):
    """Cause of an exception that came from another process: its traceback there, which cannot be sent as such."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0].rstrip()}"


class _Terminated(BaseException):
    """SIGTERM: ends the call under way, so that it can remove its temporary files."""


def serve(connection: Connection, environment: dict[str, str], folder: str, stack_file: str) -> None:
    """Answer calls until the other end closes. Environment and working folder are those of the parent now."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches all processes; the parent ends its workers
    signal.signal(signal.SIGTERM, _terminate)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # what schedulers warn with, also of the whole group
    write_stacks_to(stack_file)
    threading.Thread(target=end_with_parent, name="end with parent", daemon=True).start()
    try:
        connection.send((READY, None, ""))
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))
    except (EOFError, OSError):
        return  # the parent has closed its end
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # for an exit status that says so


def _terminate(*_: object) -> NoReturn:
    raise _Terminated


def end_with_parent() -> None:
    """A killed parent cannot stop its workers, and a worker that waits for work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(call: bytes) -> bytes | memoryview:
    try:
        function, arguments = pickle.loads(call)
        return ForkingPickler.dumps((FINISHED, function(*arguments), ""))
    except _Terminated:
        raise
    except BaseException as error:  # also a call of exit: it ends the case, not the worker
        return pickled_failure(error)


def pickled_failure(error: BaseException) -> bytes:
    """Message about ``error`` with its traceback; a WorkerError in its place where it cannot be sent."""
    text = "".join(traceback.format_exception(error))
    try:
        message = pickle.dumps((RAISED, error, text))
        pickle.loads(message)
    except Exception:
        message = b""
    if message and isinstance(error, Exception):
        return message
    return pickle.dumps((RAISED, WorkerError(f"{type(error).__name__}: {error}"), text))
