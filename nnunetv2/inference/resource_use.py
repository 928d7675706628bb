"""Time and memory of one stretch of work in this process: duration, peaks, area under the memory curves."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

INTERVAL_S = 0.1

Curve = list[tuple[float, float]]


def host_memory_mib() -> float:
    """Resident set of this process in MiB; NaN where the system does not tell (not Linux)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return float("nan")


def gpu_memory_mib() -> float:
    """Memory in use on the current GPU by all programs, in MiB; NaN without CUDA."""
    import torch

    if not torch.cuda.is_available():
        return float("nan")
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**20


def area(curve: Curve) -> float:
    """Area under ``curve``, (seconds, value) in order of time, by the trapezium rule."""
    return sum((t1 - t0) * (v0 + v1) / 2 for (t0, v0), (t1, v1) in itertools.pairwise(curve))


class ResourceUse:
    """Context manager that measures its block. Afterwards: ``seconds``, and one curve per probe.

    ``probes`` maps a name to a function that gives MiB now. They are asked at the start, at the end and every
    ``INTERVAL_S`` seconds by a thread of its own.
    """

    def __init__(self, probes: dict[str, Callable[[], float]] | None = None):
        self._probes = {"host": host_memory_mib, "gpu": gpu_memory_mib} if probes is None else probes
        self.curves: dict[str, Curve] = {name: [] for name in self._probes}
        self.seconds = 0.0
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> ResourceUse:
        self._start = time.perf_counter()
        self._sample()
        self._watcher.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._done.set()
        self._watcher.join()
        self._sample()
        self.seconds = time.perf_counter() - self._start

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL_S):
            self._sample()

    def _sample(self) -> None:
        for name, probe in self._probes.items():
            self.curves[name].append((time.perf_counter() - self._start, probe()))

    def figures(self) -> dict[str, float]:
        """``seconds``, and per probe ``NAME_peak_mib`` and ``NAME_mib_seconds``."""
        figures = {"seconds": self.seconds}
        for name, curve in self.curves.items():
            figures[f"{name}_peak_mib"] = max(value for _, value in curve)
            figures[f"{name}_mib_seconds"] = area(curve)
        return figures
