"""Case-parallel work: one function over a list of cases, in this process, in worker processes, or on other machines.

All stages (fingerprint, preprocessing, export, evaluation) go through ``map_cases``, so they fail and report alike:
an exception keeps its case id, a killed worker costs its case, which is tried again alone once, and the other cases
are finished.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

from nnunetv2.configuration import available_cpus
from nnunetv2.errors import CaseFailures, UsageError, WorkerError

_chosen: ContextVar[Executor | None] = ContextVar("executor", default=None)


@contextmanager
def work_on(address: str | None) -> Iterator[None]:
    """Inside the block ``map_cases`` uses the workers at ``address``, ``dask://HOST:PORT``; None changes nothing.

    They must see the same folders under the same paths. Raises UsageError for other addresses, and when nothing usable
    is there.
    """
    if address is None:
        yield
        return
    if not re.fullmatch(r"dask://[^/\s]+:\d+", address):
        raise UsageError(f"--executor is {address!r}; it must be dask://HOST:PORT, the address of a dask scheduler")
    from nnunetv2.utilities.dask_executor import dask_executor

    with dask_executor(address) as executor:
        token = _chosen.set(executor)
        try:
            yield
        finally:
            _chosen.reset(token)


def process_pool(workers: int, cases: int | None = None, preload: Sequence[str] = ()) -> ProcessPoolExecutor:
    """A pool of processes, at most one per case and per CPU, which end when this process does.

    Never forked from this process, since fork is unsafe beside threads and CUDA. ``preload`` names modules that the
    work needs: on Linux one clean process imports them once and the workers are forked from that, so that start-up is
    paid once and its memory shared. Elsewhere, and without ``preload``, each worker starts from nothing.
    """
    limit = available_cpus() if cases is None else min(available_cpus(), cases)
    context = multiprocessing.get_context("spawn")
    if preload and sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(preload))
    return ProcessPoolExecutor(
        max(1, min(workers, limit)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(dict(os.environ), os.getcwd()),
    )


def _start_worker(environment: dict[str, str], folder: str) -> None:
    """Take over what may have changed since the clean process was started, and watch the process that has the work."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    threading.Thread(target=_end_with_parent, name="end with parent", daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent cannot stop its workers, and a worker that waits for work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def map_cases(
    function: Callable[..., Any],
    cases: Iterable[tuple[str, Sequence[Any]]],
    workers: int,
    *,
    what: str,
    show_progress: bool = False,
    executor: Executor | None = None,
    preload: Sequence[str] = (),
) -> dict[str, Any]:
    """Call ``function(*arguments)`` for every ``(case id, arguments)`` and return ``{case id: result}`` in case order.

    ``workers`` of 0 or 1 works in this process; more start that many processes (``preload``: see ``process_pool``);
    ``executor``, or the one chosen with ``work_on``, overrides both. ``what`` names the stage in messages. Raises
    CaseFailures after all other cases are done.
    """
    cases = list(cases)
    executor = executor or _chosen.get()
    if executor is None and (workers <= 1 or len(cases) <= 1):
        outcomes = _in_process(function, cases, what, show_progress)
    else:
        pool = process_pool(workers, len(cases), preload) if executor is None else executor
        outcomes = _in_executor(function, cases, what, show_progress, pool, own_pool=executor is None)
    failures = {case: outcome for case, outcome in outcomes.items() if isinstance(outcome, _Failure)}
    if failures:
        errors = {case: failure.error for case, failure in failures.items()}
        results = {case: outcome for case, outcome in outcomes.items() if case not in failures}
        raise CaseFailures(what, errors, len(cases), results) from next(iter(errors.values()))
    return {case: outcomes[case] for case, _ in cases}


class _Failure:
    def __init__(self, error: BaseException):
        self.error = error


def _in_process(function, cases, what, show_progress) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    for case, arguments in tqdm(cases, desc=what, disable=not show_progress):
        try:
            outcomes[case] = function(*arguments)
        except Exception as error:
            outcomes[case] = _Failure(error)
    return outcomes


def _in_executor(function, cases, what, show_progress, pool, own_pool) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    broken: list[tuple[str, Sequence[Any]]] = []
    try:
        futures: dict[Future, tuple[str, Sequence[Any]]] = {}
        for case, arguments in cases:
            try:
                futures[pool.submit(function, *arguments)] = (case, arguments)
            except BrokenProcessPool:
                broken.append((case, arguments))
        for future in tqdm(as_completed(futures), total=len(futures), desc=what, disable=not show_progress):
            case, arguments = futures[future]
            try:
                outcomes[case] = future.result()
            except BrokenProcessPool:
                broken.append((case, arguments))
            except Exception as error:
                outcomes[case] = _Failure(_explained(error, case, what))
    finally:
        if own_pool:
            pool.shutdown(cancel_futures=True)
    for case, arguments in broken:
        outcomes[case] = _alone(function, case, arguments, what)
    return outcomes


def _explained(error: Exception, case: str, what: str) -> Exception:
    """``error``, or what it means when the workers of another machine died one after the other."""
    from nnunetv2.utilities.dask_executor import is_worker_death

    if not is_worker_death(error):
        return error
    return WorkerError(
        f"{what}: every worker that was given case {case} was killed, most likely for lack of memory. Start workers "
        "with more memory, or check the size of this case"
    )


def _alone(function, case: str, arguments: Sequence[Any], what: str) -> Any:
    """Run one case in a process of its own, so that a second death can be blamed on it."""
    with process_pool(1) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            return _Failure(
                WorkerError(
                    f"{what}: the worker process for case {case} was killed twice, most likely for lack of memory. "
                    "Use fewer processes, or check the size of this case"
                )
            )
        except Exception as error:
            return _Failure(error)
