"""Case-parallel work: one function over a list of cases, in this process, in worker processes, or on other machines.

All stages (fingerprint, preprocessing, export, evaluation) go through ``map_cases``, so they fail and report alike:
an exception keeps its case id, a killed worker costs its case, which is tried again alone once, and the other cases
are finished.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from nnunetv2.configuration import available_cpus
from nnunetv2.errors import CaseFailures, NNUNetError, UsageError, WorkerError, without_locals
from nnunetv2.utilities.stalls import SECONDS_BETWEEN_LOOKS, StallWatch, stacks_of_threads
from nnunetv2.utilities.worker_death import Death, memory_figures, size_of_files
from nnunetv2.utilities.worker_processes import Finished, Raised, WorkerProcesses

logger = logging.getLogger(__name__)

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


def on_other_machines() -> bool:
    """Whether ``work_on`` chose workers, whose memory is not that of this machine."""
    return _chosen.get() is not None


def map_cases(
    function: Callable[..., Any],
    cases: Iterable[tuple[str, Sequence[Any]]],
    workers: int,
    *,
    what: str,
    show_progress: bool = False,
    executor: Executor | None = None,
    preload: Sequence[str] = (),
    flag: str = "-np",
) -> dict[str, Any]:
    """Call ``function(*arguments)`` for every ``(case id, arguments)`` and return ``{case id: result}`` in case order.

    ``workers`` of 0 or 1 works in this process; more start that many processes, at most one per case and per CPU, which
    end when this process does (``preload``: see ``WorkerProcesses``). ``executor``, or the one chosen with ``work_on``,
    overrides both. In messages ``what`` names the stage, and ``flag`` what sets the number of processes.

    Raises CaseFailures after all other cases are done. Errors of other processes have the traceback there as their
    cause. What is no error of ours is logged with its traceback, too. When no case has finished for long, the log
    tells what the workers do (``nnUNet_stall_minutes``).
    """
    cases = list(cases)
    executor = executor or _chosen.get()
    stage = _Stage(what, flag, show_progress)
    if executor is not None:
        outcomes = _in_executor(function, cases, stage, executor)
    elif workers <= 1 or len(cases) <= 1:
        outcomes = _in_process(function, cases, stage)
    else:
        outcomes = _in_processes(function, cases, stage, min(workers, len(cases), available_cpus()), preload)
    errors = {case: outcomes[case].error for case, _ in cases if isinstance(outcomes[case], Raised)}
    results = {case: outcomes[case].result for case, _ in cases if case not in errors}
    if errors:
        raise CaseFailures(what, errors, len(cases), results) from next(iter(errors.values()))
    return results


@dataclass(frozen=True)
class _Stage:
    what: str
    flag: str
    show_progress: bool

    def bar(self, items: Iterable[Any], total: int) -> Iterable[Any]:
        return tqdm(items, total=total, desc=self.what, disable=not self.show_progress)

    def raised(self, case: str, error: Exception) -> Raised:
        if not isinstance(error, NNUNetError):
            logger.error("%s: case %s failed", self.what, case, exc_info=error)
        return Raised(without_locals(error))


def _in_process(function, cases, stage: _Stage) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    for case, arguments in stage.bar(cases, len(cases)):
        try:
            outcomes[case] = Finished(function(*arguments))
        except Exception as error:
            outcomes[case] = stage.raised(case, error)
    return outcomes


def _in_processes(function, cases, stage: _Stage, workers: int, preload: Sequence[str]) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    died: list[tuple[str, Sequence[Any], Death]] = []
    with WorkerProcesses(workers, stage.what, preload) as pool:
        for (case, arguments), outcome in stage.bar(pool.run(function, cases), len(cases)):
            if isinstance(outcome, Death):
                logger.warning("%s: the worker process with case %s %s", stage.what, case, outcome)
                died.append((case, arguments, outcome))
            else:
                outcomes[case] = outcome if isinstance(outcome, Finished) else stage.raised(case, outcome.error)
    for case, arguments, death in died:
        outcomes[case] = _alone(function, case, arguments, stage, death)
    return outcomes


def _in_executor(function, cases, stage: _Stage, executor: Executor) -> dict[str, Any]:
    outcomes: dict[str, Any] = {}
    broken: list[tuple[str, Sequence[Any]]] = []
    futures: dict[Future, tuple[str, Sequence[Any]]] = {}
    for case, arguments in cases:
        try:
            futures[executor.submit(function, *arguments)] = (case, arguments)
        except BrokenExecutor:
            broken.append((case, arguments))
    for future in stage.bar(_as_completed(futures, stage.what), len(futures)):
        case, arguments = futures[future]
        try:
            outcomes[case] = Finished(future.result(timeout=0))
        except BrokenExecutor:
            broken.append((case, arguments))
        except Exception as error:
            outcomes[case] = stage.raised(case, _explained(error, case, stage.what))
    for case, arguments in broken:
        outcomes[case] = _alone(function, case, arguments, stage, None)
    return outcomes


def _as_completed(futures: Mapping[Future, tuple[str, Sequence[Any]]], what: str) -> Iterator[Future]:
    pending, watch = set(futures), StallWatch(what)

    def describe() -> str:
        cases = ", ".join(futures[future][0] for future in futures if future in pending)
        return f"Not finished: {cases}\n{stacks_of_threads()}"

    while pending:
        done, pending = wait(pending, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
        if done:
            watch.progressed()
        yield from done
        watch.check(describe)


def _explained(error: Exception, case: str, what: str) -> Exception:
    """``error``, or what it means when the workers of another machine died one after the other."""
    from nnunetv2.utilities.dask_executor import is_worker_death

    if not is_worker_death(error):
        return error
    return WorkerError(
        f"{what}: every worker that was given case {case} was killed, most likely for lack of memory. Start workers "
        "with more memory, or check the size of this case"
    )


def _alone(function, case: str, arguments: Sequence[Any], stage: _Stage, before: Death | None) -> Any:
    """Run one case in a process of its own, so that a second death can be blamed on it."""
    logger.info("%s: case %s is tried once more, alone", stage.what, case)
    with WorkerProcesses(1, stage.what) as pool:
        ((_, outcome),) = pool.run(function, [(case, arguments)])
    if isinstance(outcome, Finished):
        logger.warning(
            "%s: alone, case %s went well. Use fewer processes (%s, nnUNet_def_n_proc)", stage.what, case, stage.flag
        )
        return outcome
    if isinstance(outcome, Raised):
        return stage.raised(case, outcome.error)
    first = "" if before is None else f" The first time, beside others, it {before.how}; {memory_figures(before.peak)}"
    return Raised(
        WorkerError(
            f"the worker process was killed twice. The second time, alone, it {outcome}{first} Free memory, raise the "
            f"limit, or use fewer processes ({stage.flag}, nnUNet_def_n_proc) if others run beside; check the size of "
            f"this case (its files: {size_of_files(arguments) / 2**20:.1f} MiB)"
        )
    )
