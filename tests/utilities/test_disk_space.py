import errno
import os

import pytest

from nnunetv2.cli.commands import command
from nnunetv2.errors import DiskFullError, NNUNetError
from nnunetv2.utilities import disk_space
from nnunetv2.utilities.disk_space import free_bytes, in_words, require_room, without_room


def test_the_room_of_a_folder_that_is_not_there_yet_is_that_of_its_disk(tmp_path):
    free, status = free_bytes(tmp_path / "not" / "there"), os.statvfs(tmp_path)
    assert status.f_bavail * status.f_frsize / 2 < free <= status.f_blocks * status.f_frsize


def test_the_room_of_a_file_system_that_does_not_count_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space.os, "statvfs", lambda place: os.statvfs_result([0] * 10))
    assert free_bytes(tmp_path) is None


def test_a_stage_is_refused_with_figures_only_when_it_cannot_fit(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 3 << 20)
    require_room(tmp_path, 3 << 20, "the stage", "Make room")
    with pytest.raises(DiskFullError) as caught:
        require_room(tmp_path, (3 << 20) + 1, "the stage", "Make room")
    assert str(caught.value) == (
        f"the stage needs at least 3.0 MiB in {tmp_path}, where 3.0 MiB are free. Make room, or set "
        "nnUNet_ignore_resources=1 to go on anyway"
    )
    assert caught.value.errno == errno.ENOSPC and isinstance(caught.value, NNUNetError)
    monkeypatch.setenv("nnUNet_ignore_resources", "1")
    require_room(tmp_path, 1 << 60, "the stage", "Make room")


def test_nothing_is_refused_where_the_room_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: None)
    require_room(tmp_path, 1 << 60, "the stage", "Make room")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "x"), "the disk is full"),
        (OSError(errno.EDQUOT, "x"), "the disk quota is used up"),
        (OSError(errno.EFBIG, "x"), "files may not grow further (ulimit -f, or a limit of the file system)"),
        (OSError(errno.EACCES, "x"), None),
        (RuntimeError("x"), None),
    ],
)
def test_reasons_are_told_from_the_error_or_from_the_system(tmp_path, error, reason):
    assert without_room(error, tmp_path / "absent") == reason


def test_commands_end_with_one_message_when_the_disk_is_full_under_a_log(capsys):
    @command
    def main(argv):
        raise OSError(errno.ENOSPC, "No space left on device", "training_log.txt")

    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 1
    assert "Error: [Errno 28] No space left on device: 'training_log.txt'. Make room" in capsys.readouterr().err


def test_sizes_in_words():
    assert [in_words(n) for n in (5, 2048, 3 << 30, 1 << 41)] == ["5 bytes", "2.0 KiB", "3.0 GiB", "2.0 TiB"]
