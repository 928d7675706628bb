"""Reading and writing single files: atomically, and with the path in every error.

"Atomic" means: written under a temporary name in the same folder, flushed to disk, then renamed. A reader sees the old
file or the new one, never half of it, also after a kill or a loss of power.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nnunetv2.errors import DiskFullError, FileContentError, MissingFileError
from nnunetv2.records.temporary import temporary_prefix, without_temporary_folders
from nnunetv2.utilities.disk_space import full_disk, without_room

PathLike = str | os.PathLike[str]

logger = logging.getLogger(__name__)


@contextmanager
def atomic_path(final: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside ``final`` with the same ending; on success it is synced and renamed to ``final``.

    On an exception the temporary file is removed and ``final`` stays as it was. Creates the folder if needed. Raises
    DiskFullError, naming ``final`` and the free space, when writing failed for lack of room.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    # The prefix keeps parallel writers apart; the ending stays, since image libraries choose the format by it.
    temporary = final.with_name(temporary_prefix() + final.name)
    try:
        yield temporary
        sync(temporary)
        os.replace(temporary, final)
        sync_folder(final.parent)
    except DiskFullError:
        raise
    except Exception as error:
        written = temporary.stat().st_size if temporary.is_file() else 0
        reason = without_room(error, temporary)
        if reason is None:
            raise
        raise full_disk(without_temporary_folders(final), reason, written) from error
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: PathLike) -> None:
    """Wait until the names in a folder are on the disk: without it a rename may be lost when the power fails.

    Does nothing where folders cannot be opened (Windows), or cannot be synced (some network file systems).
    """
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync(path: PathLike) -> None:
    """Wait until the content of a file is on the disk."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())


def read_text(path: PathLike, encoding: str = "utf-8") -> str:
    """Content of a text file; ``encoding`` is utf-8, or utf-8-sig to leave out the mark that spreadsheets put first.

    Raises MissingFileError (a FileNotFoundError) or FileContentError (a ValueError), both naming the path.
    """
    try:
        return Path(path).read_text(encoding=encoding)
    except FileNotFoundError as error:
        raise MissingFileError(f"{os.fspath(path)} does not exist") from error
    except UnicodeDecodeError as error:
        raise FileContentError(f"{os.fspath(path)} is not a text file in UTF-8: {error}") from error


def read_json(path: PathLike) -> Any:
    """Content of a JSON file. ``NaN`` is accepted (summaries contain it).

    A key that appears twice in one object is warned about; the last one counts, as everywhere in Python.
    Raises MissingFileError (a FileNotFoundError) or FileContentError (a ValueError), both naming the path.
    """
    text = read_text(path)
    doubled: list[str] = []

    def remember_doubled(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            doubled.extend(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        return content

    try:
        content = json.loads(text, object_pairs_hook=remember_doubled)
    except json.JSONDecodeError as error:
        raise FileContentError(
            f"{os.fspath(path)} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets a thousand deep
        raise FileContentError(f"{os.fspath(path)} is no JSON that can be used: {error}") from error
    if doubled:
        logger.warning("%s: %s appears twice in one object, and only the last one counts", os.fspath(path), doubled[0])
    return content


def write_json(path: PathLike, content: Any, sort_keys: bool = True) -> None:
    """Write ``content`` as JSON, indented by 4, atomically."""
    text = json.dumps(content, indent=4, sort_keys=sort_keys)
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_pickle(path: PathLike, content: Any) -> None:
    """Write ``content`` as a pickle, atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        pickle.dump(content, stream)


def copy_file(source: PathLike, target: PathLike) -> None:
    """Copy ``source`` to ``target`` with its modification time, atomically."""
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)
        shutil.copystat(source, temporary)
        temporary.chmod(temporary.stat().st_mode | 0o200)  # a read-only source must not make the copy unchangeable


def copy_if_newer(source: PathLike, target: PathLike) -> bool:
    """Copy unless ``target`` exists and is at least as new as ``source``; says whether it copied."""
    if os.path.isfile(target) and os.path.getmtime(target) >= os.path.getmtime(source):
        return False
    copy_file(source, target)
    return True


def read_pickle(
    path: PathLike, *extra_globals: tuple[str, str], stand_ins: Mapping[tuple[str, str], Any] | None = None
) -> Any:
    """Content of a pickle that may hold plain values and numpy arrays only.

    ``extra_globals`` are further (module, name) pairs this file may refer to, ``stand_ins`` such pairs with what is put
    in their place. Raises MissingFileError or FileContentError, both naming the path; nothing in the file is executed.
    """
    from nnunetv2.records.plain_pickle import load_plain  # numpy comes along

    try:
        with open(path, "rb") as stream:
            return load_plain(stream, extra_globals, stand_ins or {})
    except FileNotFoundError as error:
        raise MissingFileError(f"{os.fspath(path)} does not exist") from error
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise FileContentError(
            f"{os.fspath(path)} was not loaded: {error}. If it was made by nnU-Net it is damaged; make it again"
        ) from error
