"""Processes that take one call at a time through a pipe each.

So it is known which call a dead process had, and how it died; nothing is shared that a killed process could leave
locked. What happens inside them is in ``worker_side``.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

from nnunetv2.errors import WorkerError
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS, StallWatch
from nnunetv2.utilities.worker_death import Death, memory_peak
from nnunetv2.utilities.worker_side import RAISED, READY, WorkerTraceback, serve
from nnunetv2.utilities.worker_stacks import StackFiles

Call = tuple[str, Sequence[Any]]
"""Case id, and arguments of the function."""

_SECONDS_TO_END = 5
_FAILED_STARTS_ALLOWED = 3


@dataclass(frozen=True)
class Finished:
    """The call returned ``result``."""

    result: Any


@dataclass(frozen=True)
class Raised:
    """The call raised ``error``; its cause is the traceback inside the worker."""

    error: Exception


Outcome = Finished | Raised | Death


class _Worker:
    def __init__(self, context: Any, number: int, stack_file: str):
        self.number = number
        self.connection: Connection
        self.connection, other_end = context.Pipe()
        arguments = (other_end, dict(os.environ), os.getcwd(), stack_file)
        self.process = context.Process(target=serve, args=arguments, name=f"worker {number}")
        self.process.start()
        other_end.close()
        self.ready = False
        self.call: Call | None = None
        self.since = time.monotonic()
        self.peak: int | None = None

    def look(self) -> bool:
        """Note the memory peak; says whether the process is dead and has left nothing to receive."""
        self.peak = memory_peak(self.process.pid) or self.peak
        return not self.process.is_alive() and not self.connection.poll()

    def give(self, call: Call, pickled: bytes | memoryview) -> bool:
        """Hand over a call; False when the process is gone."""
        try:
            self.connection.send_bytes(pickled)
        except OSError:
            return False
        self.call, self.since = call, time.monotonic()
        return True

    def receive(self) -> tuple[str, Any, str] | None:
        """The next message; None when the process is gone."""
        if self.look():  # without this a child of it that holds the pipe open would keep us waiting
            return None
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError):
            return None
        try:
            return pickle.loads(message)
        except Exception as error:  # of a class that can be pickled, but not made again
            return RAISED, WorkerError(f"the result cannot be received: {type(error).__name__}: {error}"), ""

    def end(self, at_once: bool) -> None:
        self.connection.close()  # the process ends at the end of its input
        if at_once:
            self.process.terminate()
        self.process.join(_SECONDS_TO_END)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class WorkerProcesses:
    """At most ``size`` processes for the stage ``what``. Use it as a context manager.

    Never forked from this process, since fork is unsafe beside threads and CUDA. ``preload`` names modules that the
    work needs: on Linux one clean process imports them once and the workers are forked from that, so that start-up is
    paid once and its memory shared. Elsewhere, and without ``preload``, each worker starts from nothing.
    """

    def __init__(self, size: int, what: str, preload: Sequence[str] = ()):
        self._size, self._what = size, what
        self._context: Any = multiprocessing.get_context("spawn")
        if preload and sys.platform == "linux":
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(list(preload))
        self._workers: list[_Worker] = []
        self._started = 0
        self._failed_starts = 0

    def __enter__(self) -> WorkerProcesses:
        self._stacks = StackFiles()
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        for worker in self._workers:
            worker.end(at_once=error_type is not None)
        self._stacks.remove()

    def run(self, function: Callable[..., Any], calls: Iterable[Call]) -> Iterator[tuple[Call, Outcome]]:
        """Every call with its outcome, as they finish. A dead worker is replaced; its call is not made again.

        Raises WorkerError when workers die before they can take any work.
        """
        waiting = deque(calls)
        watch = StallWatch(self._what)
        while waiting or any(worker.call for worker in self._workers):
            self._start_workers(sum(worker.call is not None for worker in self._workers) + len(waiting))
            yield from self._hand_out(function, waiting)
            for worker in self._with_news():
                done = self._news_of(worker)
                if done is not None:
                    watch.progressed()
                    yield done
            watch.check(self._description)

    def _start_workers(self, wanted: int) -> None:
        while len(self._workers) < min(self._size, wanted):
            self._workers.append(_Worker(self._context, self._started, self._stacks.path(self._started)))
            self._started += 1

    def _hand_out(self, function: Callable[..., Any], waiting: deque[Call]) -> Iterator[tuple[Call, Outcome]]:
        for worker in list(self._workers):
            while waiting and worker.ready and worker.call is None:
                call = waiting.popleft()
                try:
                    pickled = ForkingPickler.dumps((function, call[1]))
                except Exception as error:
                    yield call, Raised(error)
                    continue
                if not worker.give(call, pickled):
                    waiting.appendleft(call)
                    self._bury(worker)
                    break

    def _with_news(self) -> list[_Worker]:
        """Workers that sent something or are dead; waits a moment for some."""
        ready = wait([worker.connection for worker in self._workers], timeout=SECONDS_BETWEEN_LOOKS)
        dead = [worker for worker in self._workers if worker.look()]
        return [worker for worker in self._workers if worker.connection in ready or worker in dead]

    def _news_of(self, worker: _Worker) -> tuple[Call, Outcome] | None:
        message = worker.receive()
        call = worker.call
        if message is None:
            death = self._bury(worker)
            return None if call is None else (call, death)
        kind, value, text = message
        if kind == READY:
            worker.ready = True
        if call is None:
            return None
        worker.call, self._failed_starts = None, 0
        if kind != RAISED:
            return call, Finished(value)
        if text:
            value.__cause__ = WorkerTraceback(text)
        return call, Raised(value)

    def _bury(self, worker: _Worker) -> Death:
        """Take a dead worker out of the pool. Raises WorkerError when one after the other dies without any work."""
        self._workers.remove(worker)
        worker.end(at_once=False)
        death = Death(worker.process.exitcode, worker.peak, self._stacks.of_crash(worker.number))
        self._failed_starts += worker.call is None
        if self._failed_starts > _FAILED_STARTS_ALLOWED:
            raise WorkerError(
                f"{self._what}: worker processes end before they can take any work; the last one {death}\n"
                "What they printed is above. A script that calls nnunetv2 must do so under "
                '`if __name__ == "__main__":`. Without worker processes (0 or 1 of them) the work is done in this one'
            )
        return death

    def _description(self) -> str:
        """What each worker is doing, with its stacks."""
        stacks = self._stacks.of_live({worker.number: worker.process.pid for worker in self._workers})
        now = time.monotonic()
        return "\n".join(
            f"process {worker.process.pid}, "
            + (
                "starting"
                if not worker.ready
                else "without a case"
                if worker.call is None
                else f"case {worker.call[0]}"
            )
            + f" for {(now - worker.since) / 60:.1f} minutes, memory peak {(worker.peak or 0) / 2**30:.2f} GiB:\n"
            + stacks[worker.number]
            for worker in self._workers
        )
