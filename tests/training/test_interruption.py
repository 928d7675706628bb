"""Signals that end a training: what is saved, with which status it ends, what a second signal does."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from nnunetv2.training.interruption import STATUSES, TimeIsUp, saved_when_interrupted


def kill(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_each_signal_saves_and_ends_with_a_status_of_its_own(number, status):
    before, saved = signal.getsignal(number), []
    with pytest.raises(SystemExit) as ended, saved_when_interrupted(lambda: saved.append(1)):
        kill(number)
    assert (ended.value.code, saved) == (status, [1])
    assert signal.getsignal(number) is before


def test_the_end_of_the_time_and_ctrl_c_save_too():
    saved = []
    for error in (TimeIsUp(), KeyboardInterrupt()):
        with pytest.raises(type(error)), saved_when_interrupted(lambda: saved.append(1)):
            raise error
    assert saved == [1, 1]
    assert len(set(STATUSES)) == 3


def test_signals_that_arrive_while_saving_do_not_cut_it_short():
    steps = []

    def save() -> None:
        steps.append("begun")
        kill(signal.SIGTERM)
        kill(signal.SIGUSR1)
        steps.append("done")

    with pytest.raises(SystemExit) as ended, saved_when_interrupted(save):
        kill(signal.SIGUSR1)
    assert steps == ["begun", "done"]
    assert ended.value.code == 138


def test_other_errors_save_nothing():
    with pytest.raises(ValueError, match="wrong"), saved_when_interrupted(lambda: pytest.fail("saved")):
        raise ValueError("wrong")


def test_in_another_thread_the_handlers_stay_as_they_are():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with saved_when_interrupted(lambda: None):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
