"""A process that reads files which may kill it, and the loop around it that says which one did.

One JSON object per line: in comes ``{"format": ..., "path": ...}``, out goes the outcome.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 10
"""A file that takes longer hangs."""
_MORE_MEMORY = 6 << 30
_SECONDS_TO_START = 120


def outcomes(tasks: Iterable[dict[str, Any]], timeout: float = SECONDS) -> Iterator[dict[str, Any]]:
    """For every ``{"format", "path"}`` that with ``kind``: "read", "error", "undeclared", "crash" or "hang".

    "read" comes with the ``digest`` of the content, the others with a ``message``; what was answered with ``seconds``.
    """
    process: subprocess.Popen | None = None
    try:
        for task in tasks:
            if process is None:
                process = _start()
                _line(process, _SECONDS_TO_START)  # imports are done
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            line = _line(process, timeout)
            if line:
                yield task | json.loads(line)
                continue
            hung = process.poll() is None
            process.kill()
            process.wait()
            what = f"no answer in {timeout} s" if hung else f"the process ended with status {process.returncode}"
            yield task | {"kind": "hang" if hung else "crash", "message": what}
            process = None
    finally:
        if process is not None:
            process.kill()
            process.wait()


def _start() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _line(process: subprocess.Popen, timeout: float) -> str:
    """The next line of output; empty when none came in time."""
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(process.stdout.readline()), daemon=True)
    reader.start()
    reader.join(timeout)
    return found[0] if found else ""


def read_one(name: str, path: Path) -> dict[str, Any]:
    """Outcome of reading one file here."""
    from nnunetv2.errors import NNUNetError
    from tests.faults.readers import FORMATS, digest

    try:
        return {"kind": "read", "digest": digest(FORMATS[name].read(path))}
    except NNUNetError as error:
        return {"kind": "error", "message": f"{type(error).__name__}: {error}"}
    except Exception as error:
        return {"kind": "undeclared", "message": f"{type(error).__module__}.{type(error).__name__}: {error}"}


def _main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    import SimpleITK  # noqa: F401
    import skimage.io  # noqa: F401
    import tifffile  # noqa: F401
    import torch  # noqa: F401

    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MORE_MEMORY, resource.RLIM_INFINITY))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        task, start = json.loads(line), time.monotonic()
        outcome = read_one(task["format"], Path(task["path"]))
        print(json.dumps(outcome | {"seconds": time.monotonic() - start}), file=answers, flush=True)


if __name__ == "__main__":
    _main()
