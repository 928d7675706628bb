"""Drawing progress.png beside the training, which does not wait for it."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from nnunetv2.records.files import PathLike

_log = logging.getLogger(__name__)

Job = tuple[Mapping[str, Any], PathLike]


class BackgroundPlot:
    """Calls ``draw(values, path)`` in a thread. While one picture is drawn only the latest request waits for its turn.

    A failure is reported once, as a warning, and does not reach the training.
    """

    def __init__(self, draw: Callable[[Mapping[str, Any], PathLike], None]):
        self._draw = draw
        self._lock = threading.Lock()
        self._waiting: Job | None = None
        self._thread: threading.Thread | None = None
        self._failed = False

    def submit(self, values: Mapping[str, Any], path: PathLike) -> None:
        """Draw ``values`` as they are now; a picture that was waiting is not drawn any more."""
        job = copy.deepcopy(values), path
        with self._lock:
            self._waiting = job
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="progress.png")
                self._thread.start()

    def wait(self) -> None:
        """Return when the last picture is drawn."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            with self._lock:
                job, self._waiting = self._waiting, None
                if job is None:
                    self._thread = None
                    return
            try:
                self._draw(*job)
            except Exception as error:
                if not self._failed:
                    _log.warning("%s was not drawn: %s", job[1], error)
                self._failed = True
