"""SIGKILL at random moments of ``nnUNetv2_train``; the same command goes on, as a job script would."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.counts import count
from tests.faults.processes import run, unreadable_files
from tests.faults.training_runs import COMMAND, assert_same, fold_folder, outcome, save_often, start_over


def logs(fold: Path) -> set[Path]:
    return set(fold.glob("training_log_*.txt"))


@pytest.mark.slow
def test_a_training_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    preprocessed, folders, tiny_trainer_by_name, tmp_path, figures
):
    save_often(tmp_path / "trainers")
    fold, kills, rng = fold_folder(folders), count("kills of a stage"), random.Random(3)
    whole = run(COMMAND)
    assert whole.status == 0, whole.output
    expected = outcome(fold)
    start_over(fold)
    killed = within = finished = 0
    while killed < kills:
        # Most of a short training is its start; kills are to hit what comes after, too.
        before = logs(fold)
        done = run(COMMAND, kill_after=rng.uniform(0.2, 1.0) * whole.seconds)
        assert done.status in (0, -9), done.output
        assert list(unreadable_files(fold)) == []
        killed += done.status == -9
        within += done.status == -9 and any(": Epoch " in path.read_text() for path in logs(fold) - before)
        if done.status == 0:
            assert_same(outcome(fold), expected)
            finished += 1
            start_over(fold)
    last = run(COMMAND)
    assert last.status == 0, last.output
    assert_same(outcome(fold), expected)
    assert not list(fold.rglob(".tmp*"))
    figures(
        "SIGKILL of nnUNetv2_train",
        kills,
        f"{within} during or after epochs; {finished + 1} trainings went on to losses, weights and scores equal to the "
        "last digit; no unreadable file",
    )


def status_after(number: int, epoch: int, fold: Path) -> int:
    """Exit status of the command when its whole process group gets signal ``number`` within, or after, that epoch."""
    before = logs(fold)
    program = str(Path(sys.executable).parent / COMMAND[0])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "nnUNet_n_proc_DA": "2"}
    process = subprocess.Popen(
        [program, *COMMAND[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any(f": Epoch {epoch} " in path.read_text() for path in logs(fold) - before):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert "Traceback" not in errors
    return process.returncode


@pytest.mark.slow
def test_a_scheduler_that_signals_all_processes_of_a_job_loses_nothing(
    preprocessed, folders, tiny_trainer_by_name, figures
):
    fold = fold_folder(folders)
    whole = run(COMMAND)
    assert whole.status == 0, whole.output
    expected = outcome(fold)
    start_over(fold)
    assert status_after(signal.SIGUSR1, 1, fold) == 138
    assert status_after(signal.SIGTERM, 4, fold) == 143
    last = run(COMMAND)
    assert last.status == 0, last.output
    assert_same(outcome(fold), expected)
    figures(
        "SIGUSR1, then SIGTERM, for nnUNetv2_train and its loader workers",
        2,
        "statuses 138 and 143; went on to the result of an undisturbed training to the last digit",
    )
