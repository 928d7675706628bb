"""What workers of the tests do; a module of its own, so that they start quickly."""

from __future__ import annotations

import os
import time


def rest_on_the_way(seconds):
    time.sleep(seconds)
    return os.getpid()


class NotToBeSent(Exception):
    def __init__(self, first, second):
        super().__init__("cannot be made again")


def fail_deep_inside(how):
    def innermost():
        if how == "exit":
            raise SystemExit(3)
        if how == "not sent":
            raise NotToBeSent(1, 2)
        if how == "crash":
            import ctypes

            ctypes.string_at(0)
        return {}["missing"] if how == "raise" else how

    return innermost()
