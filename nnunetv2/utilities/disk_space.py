"""How much room a folder has, and errors that say so: before a stage begins, and when a disk fills up during one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from nnunetv2.configuration import switch_from_environment
from nnunetv2.errors import NO_ROOM, DiskFullError

VARIABLE = "nnUNet_ignore_resources"
"""Set to 1 it lets stages begin although there seems to be too little room on the disk, or too little memory."""

# More than what libraries write at a time, so that what they had no room for has none now.
_PROBE_BYTES = 8 * 2**20


def free_bytes(folder: str | os.PathLike[str]) -> int | None:
    """Bytes that this user can still write where ``folder`` is, or will be; None where that is unknown."""
    place = Path(folder).absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        if not hasattr(os, "statvfs"):
            return shutil.disk_usage(place).free
        status = os.statvfs(place)
    except OSError:
        return None
    if status.f_blocks == 0:
        return None  # file systems in the network that do not count
    blocks = status.f_bfree if os.geteuid() == 0 else status.f_bavail  # some are reserved for root
    return blocks * status.f_frsize


def require_room(folder: str | os.PathLike[str], needed: int, what: str, way_out: str) -> None:
    """Raise DiskFullError when fewer than ``needed`` bytes are free where ``folder`` is, or will be.

    ``needed`` should be what is written in any case: refusing what would have fitted is worse than running out of
    space, after which work goes on where it stopped. ``what`` is the beginning of a sentence, ``way_out`` one of its
    own without the full stop. ``nnUNet_ignore_resources=1`` turns the check off.
    """
    free = free_bytes(folder)
    if free is None or needed <= free or switch_from_environment(VARIABLE):
        return
    raise DiskFullError(
        f"{what} needs at least {in_words(needed)} in {os.fspath(folder)}, where {in_words(free)} are free. {way_out}, "
        f"or set {VARIABLE}=1 to go on anyway"
    )


def without_room(error: BaseException, file: Path) -> str | None:
    """Why nothing more can be written to ``file``, in words; None when ``error`` has another reason.

    Image libraries and blosc2 hide the reason, so the system is asked by adding to the file, which is spoiled anyway.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number is None and file.is_file():
        try:
            with open(file, "ab") as stream:
                stream.write(bytes(_PROBE_BYTES))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as refused:
            number = refused.errno
    return NO_ROOM.get(number) if number is not None else None


def full_disk(final: Path, reason: str, written: int) -> DiskFullError:
    """The error for a file of which ``written`` bytes could be written."""
    free = free_bytes(final.parent)
    left = "" if free is None else f"; {in_words(free)} are free in {final.parent}"
    return DiskFullError(
        f"{final} was not written, because {reason}: {in_words(written)} of it were written{left}, and nothing of it "
        "was left there. Make room, or use another disk, and run the same command again; what is finished is kept"
    )


def no_scratch_room(folder: str | os.PathLike[str], size: int, reason: str) -> DiskFullError:
    """The error for a scratch file of ``size`` bytes that finds no room in ``folder``."""
    free = free_bytes(folder)
    left = "" if free is None else f"; {in_words(free)} are free in {os.fspath(folder)}"
    return DiskFullError(
        f"a scratch file of {in_words(size)} was not made in {os.fspath(folder)}, because {reason}{left}. Make room, "
        "or write to another disk, and run the same command again; what is finished is kept"
    )


def in_words(size: float) -> str:
    """Bytes with a unit: ``1.5 GiB``."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
