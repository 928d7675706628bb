import errno
import threading
import time
import weakref
from functools import partial

import numpy as np
import pytest

from nnunetv2.errors import CaseError, CaseFailures, DatasetError, WorkerError
from nnunetv2.inference.background import (
    BoundedExecutor,
    call_for_case,
    items_that_can_be_made,
    prefetch,
    raise_failures,
)


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_order_whatever_finishes_first(workers):
    def task(number):
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number

    assert list(prefetch((partial(task, i) for i in range(7)), workers)) == list(range(7))


def test_no_more_than_the_allowed_tasks_are_started_ahead():
    started = []
    items = prefetch((partial(started.append, i) for i in range(20)), workers=2, ahead=1)
    next(items)
    time.sleep(0.05)
    assert len(started) <= 1 + 3
    items.close()


def test_without_workers_a_task_runs_when_it_is_asked_for():
    started = []
    items = prefetch((partial(started.append, i) for i in range(3)), 0)
    assert started == []
    next(items)
    assert started == [0]


def test_an_exception_comes_at_its_turn_and_ends_the_threads():
    def fail():
        raise ValueError("broken")

    before = threading.active_count()
    items = prefetch([lambda: 1, fail, lambda: 3], workers=2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)
    assert threading.active_count() == before


def test_closing_drops_what_has_not_started_and_leaves_no_thread():
    before = threading.active_count()
    started = []

    def task(number):
        started.append(number)
        time.sleep(0.02)

    items = prefetch((partial(task, i) for i in range(100)), workers=2, ahead=5)
    next(items)
    items.close()
    assert threading.active_count() == before
    assert len(started) < 10


def test_the_case_and_the_reason_are_in_the_error():
    def fail():
        raise KeyError("spacing")

    with pytest.raises(RuntimeError, match=r"Export of case liver_7 failed: KeyError: 'spacing'") as info:
        call_for_case("liver_7", "Export", fail)
    assert isinstance(info.value.__cause__, KeyError)


def test_defects_are_logged_with_their_traceback_and_user_errors_are_not(caplog):
    def fail(error):
        raise error

    for error, logged in [(DatasetError("no such label"), False), (IndexError("7"), True)]:
        caplog.clear()
        with pytest.raises(WorkerError):
            call_for_case("a", "Export", fail, error)
        assert bool(caplog.records) is logged


def test_a_named_error_is_not_wrapped_twice():
    with pytest.raises(WorkerError, match="^A of case x failed"):
        call_for_case("y", "B", call_for_case, "x", "A", lambda: 1 / 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_results_keep_the_order_of_submission(workers):
    with BoundedExecutor(workers) as executor:
        for number in range(6):
            executor.submit(str(number), lambda n: time.sleep(0.01 * (n % 2)) or n, number)
        assert executor.results() == list(range(6))


def test_at_most_max_pending_calls_are_unfinished():
    release, running = threading.Event(), []
    with BoundedExecutor(workers=2, max_pending=2) as executor:
        for name in "ab":
            executor.submit(name, lambda n: running.append(n) or release.wait(5), name)
        wait_until(lambda: len(running) == 2)
        waiting = threading.Thread(target=executor.wait_for_capacity)
        waiting.start()
        time.sleep(0.05)
        assert waiting.is_alive()
        release.set()
        waiting.join(5)
        assert not waiting.is_alive()


def test_a_full_disk_is_raised_at_the_next_submission_with_its_case():
    def fail():
        raise OSError(errno.ENOSPC, "disk full")

    with (
        pytest.raises(WorkerError, match="case a failed: OSError: .*disk full"),
        BoundedExecutor(workers=1, max_pending=5) as executor,
    ):
        executor.submit("a", fail)
        wait_until(lambda: executor._futures[0].done())
        executor.submit("b", lambda: None)
        raise AssertionError("the failure of the first call was not noticed")


def test_what_was_submitted_is_finished_although_the_loop_around_failed():
    done = []
    with pytest.raises(ZeroDivisionError), BoundedExecutor(workers=1, max_pending=9) as executor:
        for number in range(4):
            executor.submit(str(number), lambda n: time.sleep(0.01) or done.append(n), number)
        raise ZeroDivisionError
    assert done == [0, 1, 2, 3]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_case_that_fails_does_not_keep_others_from_being_exported(workers):
    with BoundedExecutor(workers) as executor:
        for number in (0, 1, 2):
            executor.submit(f"case_{number}", lambda n: 1 // n, number)
        assert executor.results() == [None, 1, 0]
    assert list(executor.failures) == ["case_0"]
    assert executor.cases == ["case_0", "case_1", "case_2"]


@pytest.mark.parametrize("workers", [0, 2])
def test_items_behind_one_that_cannot_be_made_are_made(workers):
    tasks = [partial(call_for_case, f"case_{n}", "Reading", lambda n: 6 // n, n) for n in (0, 1, 2)]
    failures = {}
    assert list(items_that_can_be_made(prefetch(tasks, workers), failures)) == [(1, 6), (2, 3)]
    assert list(failures) == ["case_0"]


def test_a_generator_ends_with_its_error():
    items = (call_for_case(f"case_{n}", "Reading", lambda n: 6 // n, n) for n in (0, 1))
    with pytest.raises(CaseError, match="case_0"):
        list(items_that_can_be_made(items, {}))


def test_failures_do_not_keep_arrays_alive():
    arrays = []

    def fail():
        array = np.zeros(3)
        arrays.append(weakref.ref(array))
        raise ValueError(len(array))

    with BoundedExecutor(1) as executor:
        executor.submit("a", fail)
    executor.results()
    assert list(executor.failures) == ["a"]
    assert arrays[0]() is None


def test_the_error_of_an_only_case_is_raised_as_it_is():
    error = CaseError("a", "no")
    raise_failures("Prediction", {}, 1)
    with pytest.raises(CaseError) as caught:
        raise_failures("Prediction", {"a": error}, 1)
    assert caught.value is error
    with pytest.raises(CaseFailures, match="Prediction: 1 of 2 cases failed, the others are done.\n  no") as failures:
        raise_failures("Prediction", {"a": error}, 2, {"b": 1})
    assert failures.value.results == {"b": 1}
