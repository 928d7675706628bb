"""Commands that are killed at random moments, and what they may leave behind."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import blosc2
import nibabel
import numpy as np

from nnunetv2.records.files import read_pickle


@dataclass(frozen=True)
class Run:
    """How a command ended: its exit status (negative: the signal), seconds, and what it printed."""

    status: int
    seconds: float
    output: str


def run(
    command: Sequence[str],
    kill_after: float | None = None,
    env: Mapping[str, str] = {},
    timeout: float = 300,
    file_limit: int | None = None,
    kill_counts_from: Callable[[], bool] | None = None,
) -> Run:
    """Run one of the package's commands; after ``kill_after`` seconds it and all its children get SIGKILL.

    They are counted from when ``kill_counts_from`` is true, if it is given, else from the start. ``env`` is added to
    the environment of the test. No file can grow beyond ``file_limit`` bytes: every library that writes more gets an
    error from the system (EFBIG), as it does on a full disk.
    """
    program = Path(sys.executable).parent / command[0]
    start = time.monotonic()
    process = subprocess.Popen(
        [str(program), *command[1:]],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=None if file_limit is None else lambda: _limit_files(file_limit),
    )
    while kill_counts_from is not None and process.poll() is None and not kill_counts_from():
        assert time.monotonic() - start < timeout, f"{command} does not get anywhere"
        time.sleep(0.001)
    try:
        output, _ = process.communicate(timeout=timeout if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        if kill_after is None:
            raise AssertionError(f"{command} did not end within {timeout} s; it printed:\n{output}") from None
    return Run(process.returncode, time.monotonic() - start, output)


def _limit_files(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # Python ignores the signal SIGXFSZ


def unreadable_files(folder: Path) -> Iterator[str]:
    """Files below ``folder`` under a final name that cannot be read in full, with the reason."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".tmp"):
            try:
                _read_in_full(path)
            except Exception as error:
                yield f"{path}: {type(error).__name__}: {error}"


def _read_in_full(path: Path) -> None:
    if path.name.endswith((".nii.gz", ".nii")):
        np.asarray(nibabel.load(path).dataobj)
    elif path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix == ".b2nd":
        blosc2.open(str(path), mode="r")[:]
    elif path.suffix in (".npz", ".pth"):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"its member {damaged} is damaged")
    elif path.suffix == ".pkl":
        read_pickle(path, ("collections", "defaultdict"))


def content_of(folder: Path, *, without: Sequence[str] = ()) -> dict[str, bytes]:
    """Relative path and bytes of all files below ``folder`` but those whose name contains one of ``without``."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part in path.name for part in without)
    }
