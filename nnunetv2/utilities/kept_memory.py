"""Memory that a process frees and soon needs again: kept, instead of given back to the system.

glibc takes large arrays from the system one by one and returns each when it is freed, so that every step of a training
on the CPU waits for pages that the system clears and maps, for more than a tenth of its time.
"""

from __future__ import annotations

import ctypes
import platform

from nnunetv2.configuration import switch_from_environment

SWITCH = "nnUNet_keep_memory"

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _LARGEST_NUMBER_OF_MAPPINGS = -1, -4
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process, and those forked from it, reuse what they free until they end; whether that worked.

    The process keeps as much memory as it needed at most, and some more where free parts do not fit what is asked for.
    Only with glibc; the environment variable ``nnUNet_keep_memory`` set to false prevents it.
    """
    if switch_from_environment(SWITCH) is False or platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    return bool(set_option(_LARGEST_NUMBER_OF_MAPPINGS, 0) and set_option(_TRIM_THRESHOLD, _NEVER))
