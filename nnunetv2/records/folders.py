"""Folders that appear complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2.errors import UsageError
from nnunetv2.records.files import PathLike, sync, sync_folder
from nnunetv2.records.temporary import remove_remains, temporary_prefix


@contextmanager
def private_folder(parent: PathLike) -> Iterator[Path]:
    """Yield a new folder inside ``parent`` that only this user may enter; it is removed afterwards in any case.

    It lies on the file system of ``parent``, so what was made in it can be moved beside it by a rename. After a kill
    ``remove_remains`` knows it by its name.
    """
    Path(parent).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=temporary_prefix(), dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(final: PathLike) -> Iterator[Path]:
    """Yield an empty folder that becomes ``final`` on success; on an exception nothing of it remains.

    What killed processes left in the folder around it is removed first. Raises UsageError when ``final`` exists.
    """
    final = Path(final)
    _require_absent(final)
    remove_remains(final.parent)
    with private_folder(final.parent) as private:
        content = private / final.name
        content.mkdir()  # not the private folder itself, so that others may read the result as usual
        yield content
        _require_absent(final)
        content.rename(final)
        sync_folder(final.parent)


@contextmanager
def written_aside(final: PathLike) -> Iterator[Path]:
    """Yield a path named like ``final`` in a private folder; what is there afterwards is moved to where ``final`` is.

    For writers of others, which may leave further files beside the one they were asked for: those come first, and
    ``final``, when it appears, means that all are there.
    """
    final = Path(final)
    with private_folder(final.parent) as folder:
        temporary = folder / final.name
        yield temporary
        companions = sorted(file for file in folder.iterdir() if file != temporary)
        for file in (*companions, temporary):
            if file.is_file():
                sync(file)
        for file in (*companions, temporary):
            file.replace(final.parent / file.name)
        sync_folder(final.parent)


def _require_absent(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists already and is left as it is; move it away or choose another name")
