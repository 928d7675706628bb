"""Keeping the last checkpoints: ``checkpoint_latest.pth``, before it ``checkpoint_latest_1.pth``, and so on."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial

from nnunetv2.records.files import PathLike, copy_file
from nnunetv2.records.layout import CHECKPOINT_LATEST


def older_name(path: PathLike, age: int) -> str:
    """Name of the checkpoint that was written ``age`` times before the one at ``path``; that itself for 0."""
    root, ending = os.path.splitext(os.fspath(path))
    return f"{root}_{age}{ending}" if age else os.fspath(path)


def older_files(path: PathLike) -> list[str]:
    """The earlier checkpoints beside ``path`` that exist, youngest first."""
    folder, name = os.path.split(os.path.abspath(path))
    root, ending = os.path.splitext(name)
    pattern = re.compile(rf"{re.escape(root)}_(\d+){re.escape(ending)}")
    ages = [int(found[1]) for entry in os.listdir(folder) if (found := pattern.fullmatch(entry))]
    return [older_name(path, age) for age in sorted(ages)]


def rotation_of(path: PathLike, keep: int) -> Callable[[], None] | None:
    """What to do before the file at ``path`` is replaced; nothing unless it is the latest checkpoint."""
    return partial(make_older, path, keep) if os.path.basename(path) == CHECKPOINT_LATEST else None


def make_older(path: PathLike, keep: int) -> None:
    """Give the files of the series the names of one older, so that with the next one at ``path`` there are ``keep``.

    The file at ``path`` stays there until it is replaced. Files that are older than that are removed.
    """
    for age in range(keep - 1, 1, -1):
        if os.path.isfile(older_name(path, age - 1)):
            os.replace(older_name(path, age - 1), older_name(path, age))
    if keep > 1 and os.path.isfile(path):
        _give_second_name(path, older_name(path, 1))
    for file in older_files(path):
        if file not in {older_name(path, age) for age in range(1, keep)}:
            os.remove(file)


def remove_series(path: PathLike) -> None:
    """Remove the file at ``path`` and the older ones beside it."""
    for file in (os.fspath(path), *older_files(path)):
        if os.path.isfile(file):
            os.remove(file)


def _give_second_name(path: PathLike, other: str) -> None:
    if os.path.isfile(other):
        os.remove(other)
    try:
        os.link(path, other)
    except OSError:  # file systems without links
        copy_file(path, other)
