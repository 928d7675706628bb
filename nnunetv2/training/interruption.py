"""Ending a training from outside without losing it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# Exit status of a training that saved and left since its time was nearly over; EX_TEMPFAIL of sysexits.h.
TIME_IS_UP = 75


class TrainingTerminated(SystemExit):
    """SIGTERM arrived. Exit status 143, as if the signal had not been handled."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


class TimeIsUp(SystemExit):
    """The time a call was given is nearly over; continue in another call."""

    def __init__(self) -> None:
        super().__init__(TIME_IS_UP)


@contextmanager
def saved_when_interrupted(save: Callable[[], None]) -> Iterator[None]:
    """Call ``save`` when SIGTERM (what schedulers send before they kill), Ctrl+C or the end of its time ends the block.

    Then ending goes on. SIGTERM is noticed in the main thread only. The previous signal handler is put back.
    """

    def terminate(*_: object) -> None:
        raise TrainingTerminated

    in_main_thread = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    try:
        yield
    except (TrainingTerminated, TimeIsUp, KeyboardInterrupt):
        save()
        raise
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)
