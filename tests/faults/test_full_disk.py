"""Stages that run out of room: a clear error, nothing half-written, and the same command goes on."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.counts import is_full
from tests.faults.processes import unreadable_files
from tests.faults.stages import STAGES, Attempt, Workplace

SEEN = "status 1, clear error, nothing half-written"
REPEATED = "repeated: the undisturbed bytes"


@pytest.fixture
def disk(tmp_path) -> Iterator[Disk | None]:
    """A small file system in memory; None where the tests may not mount one."""
    made = Disk(tmp_path / "disk")
    yield made if made.mount(1 << 16) else None
    made.unmount()


class Disk:
    """A tmpfs of a given size."""

    def __init__(self, place: Path):
        self.place = place
        place.mkdir()

    def mount(self, size: int) -> bool:
        return _quietly("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(self.place))

    def resize(self, size: int) -> None:
        assert _quietly("mount", "-o", f"remount,size={size}", str(self.place))

    def unmount(self) -> None:
        _quietly("umount", str(self.place))


def _quietly(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def require_clear_error(attempt: Attempt, output: str, reason: str) -> None:
    """The message names path, reason, what was written, what is free and what to do; nothing is half-written."""
    assert "Traceback" not in output, output
    assert reason in output, output
    assert str(attempt.place) in output, output
    assert "are free in" in output, output
    assert "Make room" in output, output
    assert not list(unreadable_files(attempt.place))
    assert not [file for file in attempt.content() if ".tmp" in file]


def require_undisturbed_end(attempt: Attempt, workplace: Workplace) -> None:
    repeated = attempt.run(again=True)
    assert repeated.status == 0, repeated.output
    assert attempt.content() == workplace.undisturbed(attempt.name).content


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_whose_disk_fills_up_says_so_and_goes_on_with_more_room(name, workplace, disk, figures):
    if disk is None:
        pytest.skip("mounting a small disk needs the rights of root; a limit of file sizes is tested instead")
    disk.resize(STAGES[name].small_disk)
    attempt = workplace.new_attempt(disk.place, name)
    refused = attempt.run(env={"nnUNet_ignore_resources": "1"})
    assert refused.status == 1, refused.output
    require_clear_error(attempt, refused.output, "the disk is full")
    kept = len(attempt.content())
    disk.resize(1 << 30)
    require_undisturbed_end(attempt, workplace)
    figures(f"ENOSPC in {name}", 1, f"{SEEN}, {kept} files kept; {REPEATED}")


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_meets_a_limit_of_file_sizes_says_so_and_goes_on_without_it(
    name, workplace, tmp_path, disk, figures
):
    if disk is not None and not is_full():
        pytest.skip("a small disk is tested; both in the full run")
    attempt = workplace.new_attempt(tmp_path / "attempt", name)
    refused = attempt.run(file_limit=STAGES[name].small_files)
    assert refused.status == 1, refused.output
    require_clear_error(attempt, refused.output, "files may not grow further")
    require_undisturbed_end(attempt, workplace)
    figures(f"EFBIG in {name}", 1, f"{SEEN}; {REPEATED}")
