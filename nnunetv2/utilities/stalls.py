"""When nothing has finished for long: saying so, with the stacks of everything that works.

A stalled worker is not killed, since a slow one looks the same from outside.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable

from nnunetv2.configuration import stall_seconds

logger = logging.getLogger(__name__)

# How long a wait may last before who waits looks around: for dead workers, and for stalls.
SECONDS_BETWEEN_LOOKS = 1.0


class StallWatch:
    """Notices that nothing has finished for ``seconds`` (default: ``nnUNet_stall_minutes``), again and again.

    ``what`` names the stage in messages.
    """

    def __init__(self, what: str, seconds: float | None = None):
        self._what = what
        self._seconds = stall_seconds() if seconds is None else seconds
        self._last = self._reported = time.monotonic()

    def progressed(self) -> None:
        """Something has finished."""
        self._last = self._reported = time.monotonic()

    def check(self, describe: Callable[[], str]) -> None:
        """Log a warning with what ``describe`` tells about the workers, if it is time for one."""
        now = time.monotonic()
        if not self._seconds or now - self._reported < self._seconds:
            return
        self._reported = now
        logger.warning(
            "%s: nothing has finished for %.1f minutes (nnUNet_stall_minutes says when to report this). It goes on. "
            "If the stacks below do not change from report to report, end it with Ctrl+C and start it again.\n%s",
            *(self._what, (now - self._last) / 60, describe()),
        )


def stacks_of_threads() -> str:
    """The stack of every thread of this process, most recent call last."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    parts = [
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frame))}"
        for ident, frame in sys._current_frames().items()
    ]
    return "\n".join(parts)
