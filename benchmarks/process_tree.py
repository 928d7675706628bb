"""Wall time and peak memory of a command with all the processes it starts.

Memory is the proportional set size (Pss): pages that processes share are counted once. It is sampled, so peaks shorter
than the interval can be missed; both sides of a comparison are sampled alike. Linux only: elsewhere there is no Pss.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

INTERVAL_S = 0.1
# The kernel walks every page of a process to answer. Waiting this many times as long keeps the cores free for the work.
WAIT_PER_SAMPLE = 15


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What one run of a command took."""

    wall_s: float
    peak_mib: float
    """Largest sum of Pss over the process tree, in MiB."""
    returncode: int
    output: str
    """Standard output and standard error, interleaved."""


def tree_memory_mib(root: psutil.Process) -> float:
    """Sum of Pss over ``root`` and its descendants now, in MiB; processes that have ended count nothing."""
    try:
        processes = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    total = 0
    for process in processes:
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total / 2**20


def measure(
    command: Sequence[object], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Measurement:
    """Run ``command`` to its end in ``folder`` and measure it. A failure is reported in ``returncode``, not raised."""
    words = [str(word) for word in command]
    # The output goes to a file: a pipe that nobody reads while sampling would stop the command.
    with tempfile.TemporaryFile() as stream:
        start = time.perf_counter()
        process = subprocess.Popen(words, env=environment, cwd=folder, stdout=stream, stderr=subprocess.STDOUT)
        root, peak = psutil.Process(process.pid), 0.0
        while process.poll() is None:
            begin = time.perf_counter()
            peak = max(peak, tree_memory_mib(root))
            time.sleep(max(INTERVAL_S, WAIT_PER_SAMPLE * (time.perf_counter() - begin)))
        wall = time.perf_counter() - start
        stream.seek(0)
        output = stream.read().decode(errors="replace")
    return Measurement(wall_s=wall, peak_mib=peak, returncode=process.returncode, output=output)
