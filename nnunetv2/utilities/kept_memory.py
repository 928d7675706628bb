"""Memory that a process frees and soon needs again: kept, instead of given back to the system.

glibc takes large arrays from the system one by one and returns each when it is freed, so that every step of a training
on the CPU waits for pages that the system clears and maps, for more than a tenth of its time.
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nnunetv2.configuration import switch_from_environment

SWITCH = "nnUNet_keep_memory"

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MAPPING_THRESHOLD, _LARGEST_NUMBER_OF_MAPPINGS = -1, -3, -4
_NEVER = -1
# After a block: the largest values that glibc chooses itself.
_USUAL = ((_LARGEST_NUMBER_OF_MAPPINGS, 2**16), (_MAPPING_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**26))

_lock = threading.Lock()
_users = 0


def keep_freed_memory() -> bool:
    """Let this process, and those forked from it, reuse what they free until they end; whether that worked.

    The process keeps as much memory as it needed at most, and some more where free parts do not fit what is asked for.
    Only with glibc; the environment variable ``nnUNet_keep_memory`` set to false prevents it.
    """
    global _users
    library = _glibc()
    with _lock:
        _users += 1  # so that no block gives it back
    return library is not None and _keep(library)


@contextmanager
def freed_memory_kept(wanted: bool = True) -> Iterator[None]:
    """``keep_freed_memory`` inside the block; what is free when the last such block ends goes back to the system.

    The setting holds for all threads. ``wanted=False`` does nothing.
    """
    global _users
    library = _glibc() if wanted else None
    if library is None:
        yield
        return
    with _lock:
        _users += 1
        if _users == 1:
            _keep(library)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for parameter, value in _USUAL:
                    library.mallopt(parameter, value)
                library.malloc_trim(0)


def _keep(library: Any) -> bool:
    return bool(library.mallopt(_LARGEST_NUMBER_OF_MAPPINGS, 0) and library.mallopt(_TRIM_THRESHOLD, _NEVER))


def _glibc() -> Any:
    """The C library, if it is glibc and nobody minds."""
    if switch_from_environment(SWITCH) is False or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
