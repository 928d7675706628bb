"""Ending a training from outside without losing it.

What a training that saved and left ends with, so that a job script can tell why:

======  ==================================================================================
75      ``--max-hours`` was nearly over (EX_TEMPFAIL of sysexits.h)
130     Ctrl+C (SIGINT)
138     SIGUSR1, which schedulers send some time before the end when asked to
143     SIGTERM, which they send before they kill
======  ==================================================================================
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nnunetv2.errors import WorkerError

TIME_IS_UP = 75

# Windows has no SIGUSR1.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name))


class TrainingTerminated(SystemExit):
    """A signal arrived. The exit status is 128 and its number, as if it had not been handled: 143 for SIGTERM."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(128 + number)


class TimeIsUp(SystemExit):
    """The time a call was given is nearly over; continue in another call."""

    def __init__(self) -> None:
        super().__init__(TIME_IS_UP)


STATUSES = (TIME_IS_UP, *(128 + number for number in SIGNALS))


@contextmanager
def handled(handler: Callable[[int, object], object]) -> Iterator[None]:
    """Let ``handler`` take SIGTERM and SIGUSR1 inside the block; afterwards the handlers of before are back.

    Signals can be handled in the main thread only; in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, former in previous.items():
            signal.signal(number, former or signal.SIG_DFL)


@contextmanager
def saved_when_interrupted(save: Callable[[], None]) -> Iterator[None]:
    """Call ``save`` when SIGTERM, SIGUSR1, Ctrl+C, the end of its time or a dead worker ends the block. Then ending
    goes on.

    Once a signal has arrived further ones are ignored, so that saving is not cut short.
    """

    def terminate(number: int, _: object) -> None:
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        raise TrainingTerminated(number)

    with handled(terminate):
        try:
            yield
        except (TrainingTerminated, TimeIsUp, KeyboardInterrupt, WorkerError):
            save()
            raise
