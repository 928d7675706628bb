import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nnunetv2.errors import CaseFailures
from nnunetv2.utilities.executors import map_cases


def double(x):
    if x == 13:
        raise ValueError("thirteen is not allowed")
    if x == 99:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * x


def cases(*values):
    return [(f"case_{v}", (v,)) for v in values]


def test_results_come_in_case_order():
    assert map_cases(double, cases(3, 1, 2), 1, what="doubling") == {"case_3": 6, "case_1": 2, "case_2": 4}


def test_a_failing_case_is_named_and_the_others_are_done():
    done = []

    def work(x):
        done.append(x)
        return double(x)

    with pytest.raises(CaseFailures, match="doubling: 1 of 3 cases failed.*\n.*case_13: ValueError: thirteen") as error:
        map_cases(work, cases(13, 1, 2), 0, what="doubling")
    assert done == [13, 1, 2]
    assert set(error.value.failures) == {"case_13"}


@pytest.mark.slow
def test_processes_give_the_same_and_a_killed_worker_costs_only_its_case():
    with pytest.raises(CaseFailures, match="case_99.*killed twice.*SIGKILL") as error:
        map_cases(double, cases(1, 99, 2, 3), 2, what="doubling")
    assert set(error.value.failures) == {"case_99"}
    assert map_cases(double, cases(1, 2), 2, what="doubling") == {"case_1": 2, "case_2": 4}


def where_am_i(name):
    return os.getcwd(), os.environ.get(name), "tests.utilities.test_executors" in sys.modules


@pytest.mark.slow
@pytest.mark.parametrize("preload", [(), ("tests.utilities.test_executors",)], ids=["spawned", "preloaded"])
def test_workers_see_the_folder_and_variables_of_now(tmp_path, monkeypatch, preload):
    for value in ("first", "second"):
        folder = tmp_path / value
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("SOME_VARIABLE", value)
        found = map_cases(where_am_i, [(c, ("SOME_VARIABLE",)) for c in "ab"], 2, what="looking", preload=preload)
        assert found == dict.fromkeys("ab", (str(folder), value, True))


WAITING = """
import os, sys, time
from nnunetv2.utilities.executors import map_cases
from tests.utilities.test_executors import wait_in
if __name__ == "__main__":
    map_cases(wait_in, [(c, (sys.argv[1], c)) for c in "ab"], 2, what="waiting", preload=("tests.utilities",))
"""


def wait_in(folder, name):
    (Path(folder) / name).write_text(str(os.getpid()))
    time.sleep(60)


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path)], cwd=Path(__file__).parents[2], env={
        **os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})  # fmt: skip
    files = [tmp_path / name for name in "ab"]
    wait_until(lambda: all(f.exists() and f.read_text() for f in files))
    workers = [int(f.read_text()) for f in files]
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(psutil.pid_exists(worker) for worker in workers))


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
