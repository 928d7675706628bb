"""Workers that stop finishing anything are shown with their stacks; errors come with the traceback of the worker."""

from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from nnunetv2.configuration import stall_seconds
from nnunetv2.errors import CaseError, CaseFailures, WorkerError
from nnunetv2.inference.background import BoundedExecutor, prefetch
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.training.dataloading.augmenters import stop_augmenters
from nnunetv2.training.dataloading.loader_workers import WatchedAugmenter
from nnunetv2.utilities.executors import map_cases
from tests.faults.work_of_workers import fail_deep_inside, rest_on_the_way
from tests.training.dataloading.test_augmenters import CountingLoader, loader


@pytest.fixture(autouse=True)
def messages_reach_caplog(monkeypatch):
    monkeypatch.setattr(logging.getLogger("nnunetv2"), "propagate", True)


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setenv("nnUNet_stall_minutes", "0.01")


@pytest.mark.slow
@pytest.mark.parametrize("preload", [(), ("tests.faults.work_of_workers",)], ids=["spawned", "preloaded"])
def test_a_stall_of_processes_is_shown_with_their_stacks_and_waited_for(soon, caplog, preload):
    results = map_cases(rest_on_the_way, [(c, (3.0,)) for c in "ab"], 2, what="resting", preload=preload)
    assert len(set(results.values())) == len(results) or os.cpu_count() == 1
    reports = [r.getMessage() for r in caplog.records if "nothing has finished for 0." in r.getMessage()]
    for case in "ab":
        found = [report for report in reports if f"process {results[case]}, case {case} for 0." in report]
        assert "in rest_on_the_way" in found[0]


@pytest.mark.parametrize("kind", ["executor", "prefetch", "export", "capacity"])
def test_a_stall_of_threads_is_shown_with_their_stacks_and_waited_for(kind, soon, caplog):
    release = threading.Event()
    threading.Timer(1.4, release.set).start()

    def wait_for_release():
        assert release.wait(20)
        return 1

    if kind == "executor":
        with ThreadPoolExecutor(1) as pool:
            assert map_cases(wait_for_release, [("a", ())], 0, what="waiting", executor=pool) == {"a": 1}
        assert "Not finished: a" in caplog.text
    elif kind == "prefetch":
        assert list(prefetch([wait_for_release], 1)) == [1]
    else:
        with BoundedExecutor(1, max_pending=1) as exports:
            exports.submit("a", wait_for_release)
            if kind == "capacity":
                exports.wait_for_capacity()
            else:
                assert exports.results() == [1]
    assert "nothing has finished" in caplog.text
    assert "in wait_for_release" in caplog.text


class Slow(CountingLoader):
    def generate_train_batch(self):
        time.sleep(4)
        return super().generate_train_batch()


@pytest.mark.slow
def test_a_stall_of_loaders_is_shown_with_their_stacks_and_waited_for(soon, caplog):
    made = loader()
    made.__class__ = Slow
    augmenter = WatchedAugmenter(made, None, 2)
    try:
        assert next(augmenter)["data"].shape == (2, 2, 8, 8, 8)
    finally:
        stop_augmenters(augmenter)
    assert caplog.text.count("in generate_train_batch") >= 2


def test_no_report_without_a_limit_and_nonsense_is_refused(monkeypatch):
    monkeypatch.delenv("nnUNet_stall_minutes", raising=False)
    assert stall_seconds() == 1800
    for value, seconds in (("0", 0), ("1.5", 90)):
        monkeypatch.setenv("nnUNet_stall_minutes", value)
        assert stall_seconds() == seconds
    for value in ("soon", "-1", "inf", "nan"):
        monkeypatch.setenv("nnUNet_stall_minutes", value)
        with pytest.raises(ValueError, match=f"nnUNet_stall_minutes is '{value}'"):
            stall_seconds()


@pytest.mark.slow
def test_errors_of_processes_have_the_traceback_there(tmp_path, caplog):
    cases = [(how, (how,)) for how in ("raise", "exit", "not sent", "fine")]
    with pytest.raises(CaseFailures) as caught, failed_cases_listed(tmp_path, "Failing"):
        map_cases(fail_deep_inside, cases, 2, what="failing")
    failures = caught.value.failures
    assert caught.value.results == {"fine": "fine"}
    assert {case: type(error) for case, error in failures.items()} == {
        "raise": KeyError,
        "exit": WorkerError,
        "not sent": WorkerError,
    }
    assert "SystemExit: 3" in str(failures["exit"])
    assert "NotToBeSent: cannot be made again" in str(failures["not sent"])
    for error in failures.values():
        assert "in innermost" in "".join(traceback.format_exception(error))
    assert "failing: case raise failed" in caplog.text
    assert caplog.text.count("in innermost") >= 1
    assert (tmp_path / "failed_cases.json").read_text().count("in innermost") >= 3


@pytest.mark.slow
def test_a_crash_inside_a_library_shows_where():
    with pytest.raises(CaseFailures, match="SIGSEGV .a crash inside a library") as caught:
        map_cases(fail_deep_inside, [("crash", ("crash",)), ("fine", ("fine",))], 2, what="crashing")
    assert "in innermost" in str(caught.value.failures["crash"])


@pytest.mark.slow
def test_an_error_of_a_loader_worker_has_its_traceback_and_the_cases(caplog):
    class Broken(CountingLoader):
        def _transform(self, image, segmentation):
            raise ZeroDivisionError("too thin")

    made = loader()
    made.__class__ = Broken
    augmenter = WatchedAugmenter(made, None, 1)
    with pytest.raises(
        WorkerError, match=r"worker 0 of 1 .*failed, making a batch of the cases .*ZeroDivisionError: too"
    ):
        next(augmenter)
    assert "in _transform" in caplog.text
    assert not augmenter.initialized


def test_errors_of_threads_name_their_case_and_have_their_traceback(caplog):
    with BoundedExecutor(2) as exports:
        exports.submit("a", fail_deep_inside, "raise")
        exports.submit("b", fail_deep_inside, "fine")
        assert exports.results() == [None, "fine"]
    (error,) = exports.failures.values()
    assert isinstance(error, CaseError)
    assert (error.case, str(error)) == ("a", "Export of case a failed: KeyError: 'missing'")
    assert "in innermost" in caplog.text
