"""Importing any module does nothing: no output, no environment needed, no thread or process started."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import nnunetv2

CODE = """
import importlib, os, sys, threading
for name in [n for n in os.environ if n.startswith("nnUNet_")]:
    del os.environ[name]
before = dict(os.environ)
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = {n for n in os.environ if os.environ[n] != before.get(n)} | (set(before) - set(os.environ))
# scikit-learn and blosc2 set these two themselves
assert changed <= {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "ME_DSL_JIT_LIBTCC_PATH"}, changed
threads = [t for t in threading.enumerate() if t is not threading.main_thread() and type(t) is threading.Thread]
assert not threads, threads
import multiprocessing
assert not multiprocessing.active_children()
"""


def test_every_module_imports_silently_with_an_empty_environment():
    names = [m.name for m in pkgutil.walk_packages(nnunetv2.__path__, "nnunetv2.")]
    assert len(names) > 60
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", "-c", CODE, *names], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_package_itself_imports_nothing():
    code = "import sys, nnunetv2; assert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
