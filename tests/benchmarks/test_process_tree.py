"""Measuring a command with everything it starts."""

import sys

import pytest

from benchmarks.process_tree import measure

HOLD = "import time; block = bytearray(150 * 2**20); time.sleep(0.8)"


def test_memory_and_time_of_processes_that_the_command_starts_are_counted():
    start = f"subprocess.Popen([sys.executable, '-c', {HOLD!r}])"
    starts_two = f"import subprocess, sys; [process.wait() for process in [{start}, {start}]]"
    measured = measure([sys.executable, "-c", starts_two])
    assert 300 < measured.peak_mib < 450
    assert 0.8 < measured.wall_s < 30


@pytest.mark.parametrize(("code", "status"), [("print('done')", 0), ("raise SystemExit('broken')", 1)])
def test_status_and_output_are_handed_on(code, status, tmp_path):
    measured = measure([sys.executable, "-c", code], folder=tmp_path)
    assert measured.returncode == status
    assert measured.output.strip() == ("broken" if status else "done")
