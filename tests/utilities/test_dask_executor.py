"""The address of ``--executor``: what is refused, and how deaths of workers are reported. Needs no scheduler."""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from nnunetv2.errors import CaseFailures, UsageError
from nnunetv2.utilities import dask_executor
from nnunetv2.utilities.executors import map_cases, work_on

ADDRESS = "dask://127.0.0.1:9"


@pytest.mark.parametrize("address", ["127.0.0.1:9", "dask://host", "tcp://host:1", "dask://host:port", "ray://host:1"])
def test_other_addresses_are_refused(address):
    with pytest.raises(UsageError, match="dask://HOST:PORT"), work_on(address):
        pass


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"nnunetv2\[dask\]"), work_on(ADDRESS):
        pass


def test_a_port_where_nothing_listens_is_named(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(dask_executor, "SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(UsageError, match="no dask scheduler answers"), work_on(ADDRESS):
        pass


def fake_client(**replies):
    """A client whose workers answer as given."""

    def wait_for_workers(count, timeout):
        if replies.get("none"):
            raise TimeoutError

    def run(function):
        if "error" in replies:
            raise replies["error"]
        return {"tcp://a:1": function(), "tcp://b:1": function() | replies.get("second", {})}

    return SimpleNamespace(wait_for_workers=wait_for_workers, run=run)


def test_workers_of_the_same_version_are_accepted():
    dask_executor._require_equal_workers(fake_client(), ADDRESS)


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ({"none": True}, "this scheduler has no worker"),
        ({"second": {"numpy": "1.0"}}, r"the worker at tcp://b:1 has \{'numpy': '1.0'\}, but here"),
        ({"error": ModuleNotFoundError("No module named 'nnunetv2'")}, "a worker cannot run this package"),
    ],
)
def test_workers_that_cannot_help_are_refused(replies, message):
    with pytest.raises(UsageError, match=message):
        dask_executor._require_equal_workers(fake_client(**replies), ADDRESS)


class KilledWorker(Exception):
    """Stands for that of distributed."""


KilledWorker.__module__ = "distributed.scheduler"


class Deadly(ThreadPoolExecutor):
    def submit(self, function, *args):
        future: Future = Future()
        if args == (13,):
            future.set_exception(KilledWorker("task", "worker", 3))
        else:
            future.set_result(function(*args))
        return future


def test_a_case_that_kills_every_worker_is_named_and_the_others_are_done():
    with pytest.raises(CaseFailures, match="every worker that was given case b was killed") as caught:
        map_cases(str, [("a", (1,)), ("b", (13,))], 0, what="counting", executor=Deadly(1))
    assert caught.value.results == {"a": "1"}


def test_the_chosen_workers_are_used_inside_the_block_only(monkeypatch):
    used = []

    class Recording(ThreadPoolExecutor):
        def submit(self, function, *args):
            used.append(args)
            return super().submit(function, *args)

    @contextmanager
    def connect(address):
        with Recording(1) as pool:
            yield pool

    monkeypatch.setattr(dask_executor, "dask_executor", connect)
    with work_on(ADDRESS):
        assert map_cases(str, [("a", (1,))], 1, what="counting") == {"a": "1"}
    assert map_cases(str, [("a", (2,))], 1, what="counting") == {"a": "2"}
    assert used == [(1,)]
    with work_on(None):
        assert map_cases(str, [("a", (3,))], 1, what="counting") == {"a": "3"}
    assert used == [(1,)]
