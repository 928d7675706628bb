"""Ending a training from outside without losing it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class TrainingTerminated(SystemExit):
    """SIGTERM arrived. Exit status 143, as if the signal had not been handled."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def saved_when_interrupted(save: Callable[[], None]) -> Iterator[None]:
    """Call ``save`` when SIGTERM (what schedulers send before they kill) or Ctrl+C ends the block, then go on ending.

    Outside the main thread only the second is noticed. The previous signal handler is put back.
    """

    def terminate(*_: object) -> None:
        raise TrainingTerminated

    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        yield
    except (TrainingTerminated, KeyboardInterrupt):
        save()
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)
