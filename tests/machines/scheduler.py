"""A dask scheduler and workers on loopback, as real processes."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

# As many threads per case as the fixture ``folders`` sets for this process: more would change the last digits of sums.
QUIET = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "nnUNet_def_n_proc": "1"}


class Cluster:
    """``address`` for ``--executor``, and the processes, which tests may kill."""

    def __init__(self, folder: Path):
        self.folder, self.address, self.workers = folder, "", []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self._url = self._wait_for(r"Scheduler at:\s+(tcp://\S+)")
        self.address = self._url.replace("tcp://", "dask://")

    def add_worker(self) -> subprocess.Popen:
        """A worker process without a nanny, so that nothing starts it again."""
        worker = self._start("worker", self._url, "--no-nanny", "--nthreads", "1", "--no-dashboard")
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=self.folder,
            env=os.environ | QUIET,
            stdout=subprocess.DEVNULL,
            stderr=open(self.folder / f"{arguments[0]}.log", "a"),
        )

    def _wait_for(self, pattern: str) -> str:
        log = self.folder / "scheduler.log"
        for _ in range(600):
            found = re.search(pattern, log.read_text())
            if found:
                return found.group(1)
            time.sleep(0.1)
        raise AssertionError(f"the scheduler did not say its address: {log.read_text()}")


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    made = Cluster(folder)
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.close()
