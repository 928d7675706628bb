"""The series of latest checkpoints: names, order, and what stays when it is cut short."""

from __future__ import annotations

import pytest

from nnunetv2.training import checkpoint_rotation
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from nnunetv2.training.checkpoint_rotation import older_files, remove_series, rotation_of


def write(path, epoch: int, keep: int) -> None:
    write_checkpoint(path, {"current_epoch": epoch}, rotation_of(path, keep))


def epochs(folder) -> dict[str, int]:
    return {path.name: read_checkpoint(path)["current_epoch"] for path in folder.iterdir()}


@pytest.fixture(params=["links", "copies"])
def latest(tmp_path, monkeypatch, request):
    def refuse(*_):
        raise OSError("no links here")

    if request.param == "copies":
        monkeypatch.setattr(checkpoint_rotation.os, "link", refuse)
    return tmp_path / "checkpoint_latest.pth"


def test_the_last_n_are_kept(latest):
    for epoch in range(1, 6):
        write(latest, epoch, 3)
    found = epochs(latest.parent)
    assert found == {"checkpoint_latest.pth": 5, "checkpoint_latest_1.pth": 4, "checkpoint_latest_2.pth": 3}


def test_one_is_kept_by_default_and_fewer_than_before_when_asked_for_fewer(latest):
    for epoch in range(1, 5):
        write(latest, epoch, 4)
    assert len(epochs(latest.parent)) == 4
    write(latest, 5, 2)
    assert epochs(latest.parent) == {"checkpoint_latest.pth": 5, "checkpoint_latest_1.pth": 4}
    write(latest, 6, 1)
    assert epochs(latest.parent) == {"checkpoint_latest.pth": 6}


def test_a_write_that_fails_changes_no_file_of_the_series(latest, monkeypatch):
    for epoch in range(1, 4):
        write(latest, epoch, 2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnunetv2.training.checkpoint.torch.save", full)
    with pytest.raises(RuntimeError, match=r"checkpoint_latest\.pth was not written"):
        write(latest, 4, 2)
    assert epochs(latest.parent) == {"checkpoint_latest.pth": 3, "checkpoint_latest_1.pth": 2}


def test_other_checkpoints_are_not_rotated(tmp_path):
    for epoch in (1, 2):
        write(tmp_path / "checkpoint_best.pth", epoch, 3)
    assert epochs(tmp_path) == {"checkpoint_best.pth": 2}


def test_the_whole_series_is_removed_and_nothing_else(latest):
    for epoch in range(1, 4):
        write(latest, epoch, 3)
    write(latest.parent / "checkpoint_latest_copy.pth", 9, 1)
    assert [path[-len("_1.pth") :] for path in older_files(latest)] == ["_1.pth", "_2.pth"]
    remove_series(latest)
    remove_series(latest)
    assert epochs(latest.parent) == {"checkpoint_latest_copy.pth": 9}
