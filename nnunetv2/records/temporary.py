"""Temporary files and folders: names that say whose they are, and removing those of runs that were killed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from functools import lru_cache
from os.path import isdir
from pathlib import Path

_NAME = re.compile(r"\.tmp(?P<process>\d+)(?:-(?P<place>[0-9a-f]{8}))?_")

# Where nobody can be asked whether a process still runs: nothing is written for so long without a sign of life.
_SECONDS_ABANDONED = 24 * 3600


def temporary_prefix() -> str:
    """How the names of this process's temporary files begin: hidden, with its number and where that number counts."""
    return f".tmp{os.getpid()}-{_place()}_"


@lru_cache(maxsize=1)
def _place() -> str:
    """Eight digits for this machine, or container: processes on others may have the same numbers."""
    facts = [platform.node()]
    with contextlib.suppress(OSError):  # not Linux
        facts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.blake2b("\n".join(facts).encode(), digest_size=4).hexdigest()


def without_temporary_folders(path: Path) -> Path:
    """Where a file in one of these folders is going to be: what a message should name."""
    return Path(*(part for part in path.parts if not _NAME.match(part)))


def remains(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Temporary files and folders directly inside ``folder`` that a killed process has left there.

    Those of processes that run are none. Those of other machines and containers, which may share the folder, are when
    nothing in them has changed for a day. A folder that does not exist has none.
    """
    for name in sorted(os.listdir(folder)) if isdir(folder) else ():
        found = _NAME.match(name)
        path = Path(folder) / name
        if found is not None and _is_abandoned(path, int(found["process"]), found["place"]):
            yield path


def remove_remains(*folders: str | os.PathLike[str]) -> None:
    """Remove the ``remains`` in some folders."""
    for folder in folders:
        for path in remains(folder):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_abandoned(path: Path, process: int, place: str | None) -> bool:
    if place == _place():
        return not is_running(process)
    return time.time() - max(_times(path), default=time.time()) > _SECONDS_ABANDONED


def _times(path: Path) -> Iterator[float]:
    """When the file, or the folder and what is in it, were changed."""
    for entry in (path, *(path.rglob("*") if path.is_dir() else ())):
        try:
            yield entry.lstat().st_mtime
        except OSError:
            yield time.time()  # it is being changed right now


def is_running(process: int) -> bool:
    """Whether a process with this number exists on this machine and has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True  # not Linux
    return state != "Z"  # killed, but not yet collected by its parent
