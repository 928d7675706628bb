"""Classes are found by name in files, also by many threads at once."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nnunetv2.utilities.find_class_by_name import recursive_find_python_class


@pytest.fixture
def folder(tmp_path):
    for index in range(4):
        (tmp_path / f"normalization_of_{index}.py").write_text(f"class Found{index}:\n    pass\n")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("normalization_of_")]:
        del sys.modules[name]


def test_threads_that_search_at_once_do_not_disturb_each_other(folder, monkeypatch):
    """Python's ``invalidate_caches`` raises KeyError when two threads are in it, so predictions failed now and then."""
    inside, original = threading.Lock(), importlib.invalidate_caches

    def guarded():
        assert inside.acquire(blocking=False), "two threads clear the caches of the import system at once"
        try:
            time.sleep(0.002)
            original()
        finally:
            inside.release()

    monkeypatch.setattr(importlib, "invalidate_caches", guarded)
    before = list(sys.path)
    names = [f"Found{index % 4}" for index in range(24)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: recursive_find_python_class(str(folder), name, ""), names))
    assert [cls.__name__ for cls in found] == names
    assert sys.path == before


def test_a_name_that_no_file_has_is_none(folder):
    assert recursive_find_python_class(str(folder), "Absent", "") is None
