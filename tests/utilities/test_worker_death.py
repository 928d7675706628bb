"""What is said about a worker that died."""

from __future__ import annotations

import os

import pytest

from nnunetv2.utilities import worker_death
from nnunetv2.utilities.worker_death import Death, memory_limit, memory_peak, size_of_files

GIB = 2**30


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (-9, "was ended by the signal SIGKILL (most likely for lack of memory)"),
        (-11, "was ended by the signal SIGSEGV (a crash inside a library)"),
        (-7, "was ended by the signal SIGBUS (most likely since shared memory is full"),
        (-64, "was ended by signal 64"),
        (3, "ended with exit status 3"),
        (None, "ended without a status"),
    ],
)
def test_the_end_is_described(code, text):
    if code == -64:
        assert "64" in Death(code, None).how or "SIGRTMAX" in Death(code, None).how
    else:
        assert str(Death(code, None)).startswith(text)


def test_peak_and_limit_are_told(monkeypatch):
    monkeypatch.setattr(worker_death, "memory_limit", lambda: 4 * GIB)
    assert "at least 1.50 GiB; the limit of its control group, for all processes together, is 4.00 GiB." in str(
        Death(-9, int(1.5 * GIB))
    )
    monkeypatch.setattr(worker_death, "memory_limit", lambda: None)
    assert "peak was not seen; its control group has no memory limit." in str(Death(-9, None))
    assert str(Death(-11, 1, "Fatal Python error: in f")).endswith("\nFatal Python error: in f")


def test_the_peak_of_a_live_process_and_of_none(tmp_path):
    if os.path.exists("/proc/self/status"):
        assert 2**20 < memory_peak(os.getpid()) < 2**40
    assert memory_peak(None) is None
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name: x\nVmHWM:\t  2048 kB\n")
    assert memory_peak(7, tmp_path) == 2 * 2**20


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("files", "membership", "limit"),
    [
        ({"memory.max": "max\n"}, "0::/\n", None),
        ({"memory.max": "4096\n"}, "0::/\n", 4096),
        ({"memory.max": "8192\n", "job/memory.max": "4096\n"}, "0::/job/step\n", 4096),
        ({"memory/memory.limit_in_bytes": str(1 << 62)}, "4:memory:/\n", None),
        ({"memory/job/memory.limit_in_bytes": "512\n"}, "4:memory:/job\n2:cpu:/x\n", 512),
        ({}, "", None),
    ],
)
def test_the_smallest_limit_of_all_groups_counts(files, membership, limit, tmp_path):
    for name, text in files.items():
        write(tmp_path, name, text)
    write(tmp_path, "membership", membership)
    assert memory_limit(tmp_path, tmp_path / "membership") == limit


def test_files_among_arguments_are_added_up(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").write_bytes(b"123")
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    assert size_of_files([7, {"images": [a, b]}, (a,), "not a file", None]) == 13
