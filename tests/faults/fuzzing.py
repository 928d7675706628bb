"""Fuzzing in a process of its own: ``python -m tests.faults.fuzzing TARGET SECONDS SEED FOLDER``.

Every input is written to a file and read by what the package reads such files with. What is no declared error is kept
in FOLDER, one file per kind of failure; ``report.json`` there says what was done. When the process dies, the input that
killed it is still in FOLDER/current.
"""

from __future__ import annotations

import base64
import contextlib
import json
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from nnunetv2.errors import NNUNetError
from tests.faults import documents_read, mutations
from tests.faults.readers import FORMATS, plans

SECONDS_PER_INPUT = 10
_INPUTS_PER_ROUND = 200
_MORE_MEMORY = 6 << 30
_REPACKED = {"nii.gz": mutations.repacked_gzip, "npz": mutations.repacked_zip, "pth": mutations.repacked_zip}
_REPACKED["png"] = mutations.repacked_png

Input = tuple[str, bytes]
"""Name of what reads it, and the content of its file."""


class _Hang(Exception):
    pass


def inputs_for_readers(sound: Path) -> st.SearchStrategy[Input]:
    """Files of all formats, edited as they are or inside their compression; ``sound`` takes the sound ones."""
    choices = []
    for number, (name, form) in enumerate(FORMATS.items()):
        folder = sound / str(number)
        folder.mkdir(parents=True)
        form.write(folder / form.file)
        content = (folder / form.file).read_bytes()
        choices.append(st.tuples(st.just(name), mutations.edited_bytes(content)))
        if (repacked := _REPACKED.get(name.split(",")[0])) is not None:
            choices.append(st.tuples(st.just(name), repacked(content)))
        if name.startswith("json"):
            choices.append(st.tuples(st.just(name), mutations.ANY_TEXT))
    return st.one_of(choices)


def inputs_for_documents(sound: Path) -> st.SearchStrategy[Input]:
    """Plans and other documents with entries changed."""
    documents = {"plans": plans(), **documents_read.OTHER_DOCUMENTS}
    choices = [
        st.tuples(st.just(name), mutations.edited_document(content).map(mutations.as_text))
        for name, content in documents.items()
    ]
    return st.one_of(choices[:1] * 3 + choices)


def read_files(name: str, content: bytes, sound: Path, folder: Path) -> None:
    """Read one input of ``inputs_for_readers`` as a file of its format."""
    form = FORMATS[name]
    for neighbour in (sound / str(list(FORMATS).index(name))).iterdir():
        if neighbour.name != form.file:
            shutil.copy(neighbour, folder)
    path = folder / form.file
    path.write_bytes(content)
    try:
        form.read(path)
    except NNUNetError as error:
        if form.file not in str(error):
            raise AssertionError(f"the error does not name the file: {error}") from error


def read_documents(name: str, content: bytes, sound: Path, folder: Path) -> None:
    """Give one input of ``inputs_for_documents`` to everything that takes such a document."""
    path = folder / f"{name}.json"
    path.write_bytes(content)
    for read in documents_read.READERS[name]:
        with contextlib.suppress(NNUNetError, SystemExit):
            read(path)


TARGETS: dict[str, tuple[Callable[[Path], st.SearchStrategy[Input]], Callable[[str, bytes, Path, Path], None]]] = {
    "readers": (inputs_for_readers, read_files),
    "plans": (inputs_for_documents, read_documents),
}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _Hang(f"it took more than {SECONDS_PER_INPUT} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS_PER_INPUT)
    try:
        yield
    finally:
        signal.alarm(0)


def _kind_of(error: BaseException) -> str:
    """Failures of one kind end at one line of ours."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/nnunetv2/" in f.filename]
    place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "outside the package"
    return f"{type(error).__name__} at {place}"


def fuzz(target: str, seconds: float, first_seed: int, folder: Path) -> dict[str, Any]:
    """Read inputs for so many seconds. Returns their number, and per kind of failure the shortest input."""
    strategy, read = TARGETS[target][0](folder / "sound"), TARGETS[target][1]
    report: dict[str, Any] = {"target": target, "inputs": 0, "findings": {}}
    end = time.monotonic() + seconds
    current = folder / "current"

    def once(item: Input) -> None:
        if time.monotonic() > end:
            return
        name, content = item
        shutil.rmtree(current, ignore_errors=True)
        current.mkdir()
        report["inputs"] += 1
        try:
            with _limited():
                read(name, content, folder / "sound", current)
        except Exception as error:
            kind = _kind_of(error)
            known = report["findings"].get(kind)
            if known is None or len(content) < known["size"]:
                report["findings"][kind] = {
                    "reader": name,
                    "message": f"{type(error).__name__}: {str(error)[:300]}",
                    "size": len(content),
                    "input": base64.b64encode(content).decode() if len(content) < 20_000 else "",
                }

    number = first_seed
    while time.monotonic() < end:
        round_settings = settings(
            max_examples=_INPUTS_PER_ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(round_settings(given(strategy)(once)))()
        number += 1
        (folder / "report.json").write_text(json.dumps(report, indent=1))
    return report


def main() -> None:
    """The command."""
    target, seconds, first_seed, folder = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    import SimpleITK  # noqa: F401
    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + _MORE_MEMORY, resource.RLIM_INFINITY))
    fuzz(target, seconds, first_seed, folder)


if __name__ == "__main__":
    main()
