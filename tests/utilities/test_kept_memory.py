"""Freed memory stays with the process, so that large arrays of the next step cost no page faults."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

from nnunetv2.utilities import kept_memory

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")

PROGRAM = """
import resource
from nnunetv2.utilities.kept_memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(1 << 26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(keep_freed_memory(), [faults() for _ in range(4)][-1])
"""


def last_faults(switch: str) -> tuple[str, int]:
    """Answer of ``keep_freed_memory``, and page faults of the fourth array of 64 MiB, in a process of its own."""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), kept_memory.SWITCH: switch}
    answer, faults = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    return answer, int(faults)


@needs_glibc
def test_large_arrays_reuse_the_memory_of_those_before():
    assert last_faults("true") == ("True", 0)


@needs_glibc
def test_the_environment_variable_turns_it_off():
    answer, faults = last_faults("false")
    assert answer == "False"
    assert faults > 1000


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.delenv(kept_memory.SWITCH, raising=False)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not kept_memory.keep_freed_memory()


def page_faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    bytearray(1 << 26)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@needs_glibc
def test_a_block_keeps_memory_until_the_last_one_ends(monkeypatch):
    monkeypatch.delenv(kept_memory.SWITCH, raising=False)
    monkeypatch.setattr(kept_memory, "_users", 0)
    with kept_memory.freed_memory_kept():
        page_faults()
        with kept_memory.freed_memory_kept():
            pass
        assert page_faults() == 0
    assert page_faults() > 0


def test_without_a_wish_a_block_does_nothing(monkeypatch):
    monkeypatch.setattr(kept_memory, "_keep", None)
    with kept_memory.freed_memory_kept(wanted=False):
        pass


@needs_glibc
def test_an_error_in_a_block_ends_it(monkeypatch):
    monkeypatch.setattr(kept_memory, "_users", 0)
    with pytest.raises(ValueError, match="inside"), kept_memory.freed_memory_kept():
        raise ValueError("inside")
    assert kept_memory._users == 0
