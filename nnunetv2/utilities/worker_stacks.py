"""Stacks of worker processes: on demand while they live, and at the crash that ended them.

Each worker has a file, to which ``faulthandler`` writes: on a signal from its parent, and on a fatal signal.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
from collections.abc import Mapping
from typing import Any, TextIO

_SIGNAL: Any = getattr(signal, "SIGUSR2", None)  # not on Windows
_READY = "ready\n"
_SECONDS_TO_WRITE = 3.0
_SECONDS_OF_SILENCE = 0.3

_stream: TextIO | None = None  # open as long as this process lives: faulthandler keeps its number only


def write_stacks_to(path: str) -> None:
    """Called once in a worker process: from now on its stacks go to ``path``."""
    global _stream
    _stream = open(path, "w", encoding="utf-8")  # noqa: SIM115
    faulthandler.enable(_stream)
    if _SIGNAL is not None:
        faulthandler.register(_SIGNAL, _stream, all_threads=True)
    _stream.write(_READY)  # before this the signal would end the process
    _stream.flush()


class StackFiles:
    """The files of the workers of one pool, in a temporary folder. Workers are known by number."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nnunet_workers_", ignore_cleanup_errors=True)

    def path(self, worker: int) -> str:
        """The file of this worker."""
        return os.path.join(self._folder.name, f"{worker}.txt")

    def of_live(self, process_ids: Mapping[int, int]) -> dict[int, str]:
        """Stacks of all threads of live workers, given their process ids; a reason where there are none."""
        before, stacks = {}, {}
        for worker, process_id in process_ids.items():
            text = self._read(worker)
            if _SIGNAL is None or not text:
                stacks[worker] = "no stacks: not possible on this system" if _SIGNAL is None else "it is starting"
                continue
            before[worker] = len(text)
            try:
                os.kill(process_id, _SIGNAL)
            except OSError as error:
                stacks[worker] = f"no stacks: {error}"
                del before[worker]
        end = time.monotonic() + _SECONDS_TO_WRITE
        for worker, length in before.items():
            stacks[worker] = self._written(worker, length, end) or "no stacks: it did not answer"
        return stacks

    def of_crash(self, worker: int) -> str:
        """What a worker that crashed wrote about it; empty when the signal left it no time, as SIGKILL does."""
        text = self._read(worker).removeprefix(_READY)
        position = text.rfind("Fatal Python error")
        return text[position:].strip() if position >= 0 else ""

    def remove(self) -> None:
        """Remove the files."""
        self._folder.cleanup()

    def _written(self, worker: int, length: int, end: float) -> str:
        """What was added to the file, once nothing more comes."""
        text = ""
        while time.monotonic() < end:
            time.sleep(_SECONDS_OF_SILENCE)
            now = self._read(worker)[length:]
            if now and now == text:
                break
            text = now
        return text.strip()

    def _read(self, worker: int) -> str:
        try:
            with open(self.path(worker), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""
