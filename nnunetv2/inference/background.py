"""Bounded work in background threads: preparing the next cases and exporting the last ones beside the network.

Threads, because nothing has to be copied between processes: no start-up cost, no shared memory, nothing to pickle.
The heavy parts (matrix products, compression, torch) release Python's global lock.

A case that fails does not end the batch, except for what will hit all others, too, such as a full disk. No wait is
without an end: when nothing finishes for long, the log shows the stacks of all threads (``nnUNet_stall_minutes``).
"""

from __future__ import annotations

import errno
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from nnunetv2.errors import NO_ROOM, CaseError, CaseFailures, NNUNetError, chain_of, without_locals
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS, StallWatch, stacks_of_threads

logger = logging.getLogger(__name__)

_HITS_EVERY_CASE = (*NO_ROOM, errno.EROFS)


def call_for_case(case: str, stage: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``function(*args, **kwargs)``; an exception becomes a CaseError (a RuntimeError) that names the case.

    ``stage`` says what was being done. The original exception is the ``__cause__``; its traceback is logged unless it
    is one of our own, whose messages explain themselves.
    """
    try:
        return function(*args, **kwargs)
    except CaseError:
        raise
    except Exception as error:
        if not isinstance(error, NNUNetError):
            logger.error("%s of case %s failed", stage, case, exc_info=error)
        raise CaseError(case, f"{stage} of case {case} failed: {type(error).__name__}: {error}") from error


def note_failure(failures: dict[str, CaseError], error: CaseError) -> None:
    """Keep the failure of one case for the end of the batch; raise it at once if the other cases cannot go well."""
    if any(isinstance(e, OSError) and e.errno in _HITS_EVERY_CASE for e in chain_of(error)):
        raise error
    failures[error.case] = without_locals(error)


def raise_failures(
    what: str, failures: Mapping[str, CaseError], total: int, results: Mapping[str, Any] | None = None
) -> None:
    """Raise what went wrong in a batch of ``total`` cases, if anything: CaseFailures, or the error of the only case."""
    if not failures:
        return
    first = next(iter(failures.values()))
    if total == 1:
        raise first
    raise CaseFailures(what, failures, total, results) from first


class Prefetched(Iterator[Any]):
    """Results of ``tasks`` in their order while up to ``workers`` of them run in the background.

    At most ``workers + ahead`` results or running tasks exist besides the one given last. With 0 workers each task
    runs when its result is asked for. An exception is raised when its turn comes; after a CaseError ``next`` goes on
    with the next task, any other ends the iteration. ``close`` drops what has not started and waits for what has.
    """

    def __init__(self, tasks: Iterable[Callable[[], Any]], workers: int, ahead: int = 1, stage: str = "Prefetching"):
        self._tasks = iter(tasks)
        self._in_flight = workers + ahead
        self._stage = stage
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="prefetch") if workers > 0 else None
        self._pending: deque[Future] = deque()

    def __next__(self) -> Any:
        try:
            if self._pool is None:
                return next(self._tasks)()
            while len(self._pending) < self._in_flight:
                task = next(self._tasks, None)
                if task is None:
                    break
                self._pending.append(self._pool.submit(task))
            if not self._pending:
                raise StopIteration
            return _result_of(self._pending.popleft(), self._stage)
        except CaseError:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads; the iteration is over."""
        self._tasks = iter(())
        self._pending.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def __del__(self) -> None:
        if getattr(self, "_pool", None) is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def prefetch(
    tasks: Iterable[Callable[[], Any]], workers: int, ahead: int = 1, stage: str = "Prefetching"
) -> Prefetched:
    """See ``Prefetched``."""
    return Prefetched(tasks, workers, ahead, stage)


def items_that_can_be_made(items: Iterable[Any], failures: dict[str, CaseError]) -> Iterator[tuple[int, Any]]:
    """``items`` with their positions, without those whose turn raised a CaseError, which is noted in ``failures``.

    Iterators that cannot go on after an error, such as generators, raise it.
    """
    iterator = iter(items)
    for position in itertools.count():
        try:
            yield position, next(iterator)  # in no variable: the caller decides how long it lives
        except StopIteration:
            return
        except CaseError as error:
            if not isinstance(iterator, Prefetched):
                raise
            note_failure(failures, error)


def _result_of(future: Future, stage: str) -> Any:
    watch = StallWatch(stage)
    while not wait((future,), timeout=SECONDS_BETWEEN_LOOKS).done:
        watch.check(stacks_of_threads)
    return future.result(timeout=0)


class BoundedExecutor:
    """Background calls, of which at most ``max_pending`` are unfinished at any time; results in order of submission.

    Use it as a context manager. Leaving it waits for all calls, also after an error: their predictions are paid for.
    Only an interrupt drops those that have not started. With 0 workers each call is made at once, by the caller.

    ``cases`` are those submitted, in order; those that fail are collected in ``failures`` (case to CaseError). What
    would hit every case, a full disk above all, is raised at the next call of ``submit``, ``wait_for_capacity`` or
    ``results`` instead, so that it does not cost hours of prediction.
    """

    def __init__(self, workers: int, max_pending: int | None = None, stage: str = "Export"):
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="export") if workers > 0 else None
        self._max_pending = max(1, workers + 1 if max_pending is None else max_pending)
        self._stage = stage
        self._watch = StallWatch(stage)
        self._futures: list[Future] = []
        self._unfinished: set[Future] = set()
        self.cases: list[str] = []
        self.failures: dict[str, CaseError] = {}

    def __enter__(self) -> BoundedExecutor:
        return self

    def __exit__(self, error_type: type[BaseException] | None, *details: object) -> None:
        if self._pool is not None:
            interrupted = error_type is not None and not issubclass(error_type, Exception)
            self._pool.shutdown(wait=False, cancel_futures=interrupted)
            while self._wait_for_some(set(self._futures)):
                pass
            self._pool.shutdown(wait=True)

    def wait_for_capacity(self) -> None:
        """Return once fewer than ``max_pending`` calls are unfinished; call it before making the next big array."""
        while len(self._unfinished) >= self._max_pending:
            self._wait_for_some(self._unfinished)
            self._collect_finished()
        self._collect_finished()

    def submit(self, case: str, function: Callable[..., Any], *args: Any) -> None:
        """Run ``function(*args)`` for ``case`` in the background, after waiting for capacity."""
        self.wait_for_capacity()
        if self._pool is None:
            future: Future = Future()
            try:
                future.set_result(call_for_case(case, self._stage, function, *args))
            except CaseError as error:
                future.set_exception(error)
        else:
            future = self._pool.submit(call_for_case, case, self._stage, function, *args)
        self._unfinished.add(future)
        self._futures.append(future)
        self.cases.append(case)
        if self._pool is None:
            self._collect_finished()

    def results(self, each: Callable[[list], Iterable] = iter) -> list[Any]:
        """All results in order of submission, once they are there; None for cases that failed.

        ``each`` may wrap the list in a progress bar.
        """
        results = []
        for future in each(self._futures):
            while not future.done():
                self._wait_for_some({future})
            results.append(None if future.exception(timeout=0) else future.result(timeout=0))
        self._collect_finished()
        return results

    def _wait_for_some(self, futures: set[Future]) -> bool:
        """Wait a moment until one of these is done that was not; says whether there are any that are not."""
        running = {future for future in futures if not future.done()}
        if running and wait(running, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED).done:
            self._watch.progressed()
        elif running:
            self._watch.check(stacks_of_threads)
        return bool(running)

    def _collect_finished(self) -> None:
        finished = [future for future in self._futures if future in self._unfinished and future.done()]
        self._unfinished -= set(finished)
        for future in finished:
            error = future.exception(timeout=0)
            if isinstance(error, CaseError):
                note_failure(self.failures, error)
            elif error is not None:
                raise error
