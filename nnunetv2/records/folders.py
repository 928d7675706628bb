"""Folders that appear complete or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nnunetv2.errors import UsageError
from nnunetv2.records.files import PathLike


@contextmanager
def private_folder(parent: PathLike, prefix: str = ".tmp_") -> Iterator[Path]:
    """Yield a new folder inside ``parent`` that only this user may enter; it is removed afterwards in any case.

    It lies on the file system of ``parent``, so what was made in it can be moved beside it by a rename.
    """
    Path(parent).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(final: PathLike) -> Iterator[Path]:
    """Yield an empty folder that becomes ``final`` on success; on an exception nothing of it remains.

    Raises UsageError when ``final`` exists.
    """
    final = Path(final)
    _require_absent(final)
    with private_folder(final.parent) as private:
        content = private / final.name
        content.mkdir()  # not the private folder itself, so that others may read the result as usual
        yield content
        _require_absent(final)
        content.rename(final)


def _require_absent(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{path} exists already and is left as it is; move it away or choose another name")
