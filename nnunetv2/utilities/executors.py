"""Case-parallel work: one function over a list of cases, in this process, in worker processes, or on other machines.

All stages (fingerprint, preprocessing, export, evaluation) go through ``map_cases``, so they fail and report alike:
an exception keeps its case id, a killed worker costs its case, which is tried again alone once, and the other cases
are finished.
"""

from __future__ import annotations

import multiprocessing
import re
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


def process_pool(workers: int, cases: int | None = None) -> ProcessPoolExecutor:
    """A pool of spawned processes (fork is unsafe beside threads and CUDA), at most one per case and per CPU."""
    limit = available_cpus() if cases is None else min(available_cpus(), cases)
    return ProcessPoolExecutor(max(1, min(workers, limit)), mp_context=multiprocessing.get_context("spawn"))


def map_cases(
    function: Callable[..., Any],
    cases: Iterable[tuple[str, Sequence[Any]]],
    workers: int,
    *,
    what: str,
    show_progress: bool = False,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Call ``function(*arguments)`` for every ``(case id, arguments)`` and return ``{case id: result}`` in case order.

    ``workers`` of 0 or 1 works in this process; more start that many spawned processes; ``executor``, or the one chosen
    with ``work_on``, overrides both. ``what`` names the stage in messages. Raises CaseFailures after all other cases
    are done.
    """
    cases = list(cases)
    executor = executor or _chosen.get()
    if executor is None and (workers <= 1 or len(cases) <= 1):
        outcomes = _in_process(function, cases, what, show_progress)
    else:
        outcomes = _in_executor(function, cases, workers, what, show_progress, executor)
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


def _in_executor(function, cases, workers, what, show_progress, executor) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    broken: list[tuple[str, Sequence[Any]]] = []
    own_pool = executor is None
    pool = process_pool(workers, len(cases)) if executor is None else executor
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
