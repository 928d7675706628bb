"""Workers that are killed while they have a certain case."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nnunetv2.utilities import worker_processes


@contextmanager
def killed_with(victim: str, times: int = 1000, delay: float = 0.0) -> Iterator[list[int]]:
    """Inside the block the worker that gets the case ``victim`` gets SIGKILL ``delay`` seconds later, ``times`` times.

    Yields the process ids of those killed.
    """
    give, killed = worker_processes._Worker.give, []

    def give_and_kill(self, call, pickled):
        chosen = call[0].startswith(victim) and len(killed) < times
        if chosen and not delay:
            os.kill(self.process.pid, signal.SIGSTOP)  # or it might be done before we come to kill it
        given = give(self, call, pickled)
        if chosen and given:
            killed.append(self.process.pid)
            if delay:
                threading.Timer(delay, os.kill, (self.process.pid, signal.SIGKILL)).start()
            else:
                os.kill(self.process.pid, signal.SIGKILL)
        return given

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker_processes._Worker, "give", give_and_kill)
        yield killed
