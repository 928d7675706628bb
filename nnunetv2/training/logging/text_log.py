"""The text log of a training: lines with a time stamp, in a file and on the console."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import datetime
from typing import Any

_log = logging.getLogger(__name__)


def log_entry(args: tuple[Any, ...], moment: datetime | None = None) -> str:
    """Text of one entry, each argument followed by one blank, after the time (local) if one is given."""
    stamp = [] if moment is None else [f"{moment.isoformat(sep=' ', timespec='microseconds')}:"]
    return "".join(f"{arg} " for arg in [*stamp, *args])


class TextLog:
    """Appends entries to ``path``. With None, as on ranks other than 0, they go to the console only, without time."""

    attempts = 5
    """How often writing is tried; network drives fail now and then."""
    pause = 0.5
    """Seconds between two attempts."""

    def __init__(self, path: str | os.PathLike | None):
        self.path = path

    def write(self, *args: Any, also_print_to_console: bool = True, add_timestamp: bool = True) -> None:
        """Write one entry. When the file cannot be written a warning is logged; the training goes on."""
        with_time = add_timestamp and self.path is not None
        entry = log_entry(args, datetime.now() if with_time else None)
        if self.path is not None:
            self._append(entry + "\n")
        if also_print_to_console:
            # The console is part of what a trainer promises, whether or not the calling program set up logging.
            sys.stdout.write(entry[:-1] + "\n")
            sys.stdout.flush()

    def _append(self, line: str) -> None:
        for attempt in range(1, self.attempts + 1):
            try:
                with open(self.path, "a", encoding="utf-8") as stream:
                    stream.write(line)
                return
            except OSError as error:
                if attempt == self.attempts:
                    _log.warning("%s: an entry was not written: %s", os.fspath(self.path), error)
                else:
                    time.sleep(self.pause)
