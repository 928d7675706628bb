"""Bounded work in background threads: preparing the next cases and exporting the last ones beside the network.

Threads, because nothing has to be copied between processes: no start-up cost, no shared memory, nothing to pickle.
The heavy parts (matrix products, compression, torch) release Python's global lock.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from nnunetv2.errors import NNUNetError, WorkerError

logger = logging.getLogger(__name__)


def call_for_case(case: str, stage: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``; an exception becomes a WorkerError (a RuntimeError) that names the case.

    ``stage`` says what was being done. The original exception is the ``__cause__``; its traceback is logged unless it
    is one of our own, whose messages explain themselves.
    """
    try:
        return function(*args, **kwargs)
    except WorkerError:
        raise
    except Exception as error:
        if not isinstance(error, NNUNetError):
            logger.error("%s of case %s failed", stage, case, exc_info=error)
        raise WorkerError(f"{stage} of case {case} failed: {type(error).__name__}: {error}") from error


def prefetch(tasks: Iterable[Callable[[], Any]], workers: int, ahead: int = 1) -> Iterator[Any]:
    """Yield the results of ``tasks`` in their order while up to ``workers`` of them run in the background.

    At most ``workers + ahead`` results or running tasks exist besides the one yielded last. With 0 workers each task
    runs when its result is asked for. An exception is raised when its turn comes. Closing the generator (also by
    an exception in the loop around it) drops what has not started and waits for what has.
    """
    if workers < 1:
        for task in tasks:
            yield task()
        return
    waiting = iter(tasks)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch")
    pending: deque[Future] = deque()
    try:
        while True:
            while len(pending) < workers + ahead:
                task = next(waiting, None)
                if task is None:
                    break
                pending.append(pool.submit(task))
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class BoundedExecutor:
    """Background calls, of which at most ``max_pending`` are unfinished at any time; results in order of submission.

    Use it as a context manager. Leaving it waits for all calls, also after an error: their predictions are paid for.
    Only an interrupt drops those that have not started. With 0 workers each call is made at once, by the caller.

    The first failure is raised at the next call of ``submit``, ``wait_for_capacity`` or ``results``, so that a full
    disk does not cost hours of prediction.
    """

    def __init__(self, workers: int, max_pending: int | None = None, stage: str = "Export"):
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="export") if workers > 0 else None
        self._max_pending = max(1, workers + 1 if max_pending is None else max_pending)
        self._stage = stage
        self._futures: list[Future] = []
        self._unfinished: set[Future] = set()

    def __enter__(self) -> BoundedExecutor:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *details: object) -> None:
        if self._pool is not None:
            interrupted = error_type is not None and not issubclass(error_type, Exception)
            self._pool.shutdown(wait=True, cancel_futures=interrupted)

    def wait_for_capacity(self) -> None:
        """Return once fewer than ``max_pending`` calls are unfinished; call it before making the next big array."""
        while len(self._unfinished) >= self._max_pending:
            wait(self._unfinished, return_when=FIRST_COMPLETED)
            self._collect_finished()
        self._collect_finished()

    def submit(self, case: str, function: Callable[..., Any], *args: Any) -> None:
        """Run ``function(*args)`` for ``case`` in the background, after waiting for capacity."""
        self.wait_for_capacity()
        if self._pool is None:
            future: Future = Future()
            future.set_result(call_for_case(case, self._stage, function, *args))
        else:
            future = self._pool.submit(call_for_case, case, self._stage, function, *args)
            self._unfinished.add(future)
        self._futures.append(future)

    def results(self, each: Callable[[list], Iterable] = iter) -> list[Any]:
        """All results in order of submission, once they are there. ``each`` may wrap the list in a progress bar."""
        return [future.result() for future in each(self._futures)]

    def _collect_finished(self) -> None:
        finished = {future for future in self._unfinished if future.done()}
        self._unfinished -= finished
        for future in finished:
            future.result()
