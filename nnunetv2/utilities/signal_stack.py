"""A stack for signal handlers that stays where it is."""

from __future__ import annotations

import ctypes
import sys
import threading

_kept = threading.local()  # the memory is in use by the kernel as long as the thread lives


def own_signal_stack(size: int = 2**18) -> None:
    """Give signal handlers of the calling thread a stack of ``size`` bytes, on Linux.

    Python runs its handlers on the alternative stack of a thread if there is one. OpenVINO's CPU plugin sets one of
    12 kB in the thread that compiles the first model, and frees it with the last model. When that happens in another
    thread, the first one is left with a stack that is no longer there, and Ctrl+C, SIGTERM or a request for stacks end
    the process with a segmentation fault in place of what they are for.
    """
    if sys.platform != "linux":
        return

    class Stack(ctypes.Structure):
        _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))

    memory = ctypes.create_string_buffer(size)
    if ctypes.CDLL(None).sigaltstack(ctypes.byref(Stack(ctypes.addressof(memory), 0, size)), None) == 0:
        _kept.memory = memory
