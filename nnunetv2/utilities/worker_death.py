"""How a worker process ended, and what that says: signal or status, memory peak, limit, and what to change."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GIB = 2**30


@dataclass(frozen=True)
class Death:
    """The end of a worker process that nobody asked to end."""

    exit_code: int | None
    """As ``multiprocessing`` gives it: negative for a signal, None when it is not known."""
    peak: int | None
    """Its memory peak in bytes as last seen; None when it was never seen."""
    crash: str = ""
    """The stack it wrote when it crashed."""

    @property
    def how(self) -> str:
        """Such as "was ended by the signal SIGKILL"."""
        if self.exit_code is None:
            return "ended without a status"
        if self.exit_code >= 0:
            return f"ended with exit status {self.exit_code}"
        try:
            return f"was ended by the signal {signal.Signals(-self.exit_code).name}"
        except ValueError:
            return f"was ended by signal {-self.exit_code}"

    @property
    def reason(self) -> str:
        """What such an end usually means."""
        number = -(self.exit_code or 0)
        if number == 9:
            return "most likely for lack of memory"
        if number == getattr(signal, "SIGBUS", None):
            return "most likely since shared memory is full (docker: --shm-size or --ipc=host)"
        if number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE):
            return "a crash inside a library"
        if number == signal.SIGTERM:
            return "somebody asked it to end"
        return "code called exit, or could not be started"

    def __str__(self) -> str:
        return f"{self.how} ({self.reason}). {memory_figures(self.peak)}" + (f"\n{self.crash}" if self.crash else "")


def memory_figures(peak: int | None) -> str:
    """One sentence: the memory peak of a process, and the limit it was under."""
    seen = "Its memory peak was not seen" if peak is None else f"Its memory peak was at least {peak / _GIB:.2f} GiB"
    limit = memory_limit()
    if limit is None:
        return f"{seen}; its control group has no memory limit."
    return f"{seen}; the limit of its control group, for all processes together, is {limit / _GIB:.2f} GiB."


def memory_peak(process_id: int | None, proc: Path = Path("/proc")) -> int | None:
    """Most bytes of memory (resident set) a live process has had; None when that cannot be found out."""
    try:
        lines = (proc / str(process_id) / "status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    except (OSError, ValueError, IndexError):
        return None


def memory_limit(root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> int | None:
    """Bytes that control groups (version 1 or 2) allow the processes of this one's group; None without a limit.

    A limit of any parent group holds, too, so the smallest counts.
    """
    limits = []
    for group in _groups(membership):
        parts = [part for part in group.split("/") if part and part != ".."]
        for depth in range(len(parts) + 1):
            for mount, name in ((root, "memory.max"), (root / "memory", "memory.limit_in_bytes")):
                limits += _number_in(mount.joinpath(*parts[:depth], name))
    return min(limits, default=None)


def _groups(membership: Path) -> list[str]:
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        lines = []
    return ["/", *(line[2] for line in lines if len(line) == 3 and line[1] in ("", "memory"))]


def _number_in(path: Path) -> list[int]:
    try:
        text = path.read_text().strip()
    except OSError:
        return []
    return [int(text)] if text.isdigit() and int(text) < 1 << 60 else []  # version 1: a huge number is no limit


def size_of_files(arguments: Any) -> int:
    """Bytes of all files whose paths are in ``arguments``: a path, or containers of paths."""
    if isinstance(arguments, str):
        return os.path.getsize(arguments) if os.path.isfile(arguments) else 0
    if isinstance(arguments, Mapping):
        return sum(map(size_of_files, arguments.values()))
    return sum(map(size_of_files, arguments)) if isinstance(arguments, (list, tuple)) else 0
