"""No space left while a training writes its checkpoint."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nnunetv2.run import run_training as module
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training import checkpoint as checkpoint_module
from nnunetv2.training.checkpoint import read_checkpoint
from tests.faults.processes import unreadable_files
from tests.faults.training_runs import COMMAND, assert_same, fold_folder, outcome, save_often, start_over


def train(*words: str) -> None:
    run_training_entry([*COMMAND[1:], *words])


def fails(capsys, *words: str) -> str:
    """Train, which has to end with status 1; returns the error."""
    with pytest.raises(SystemExit) as ended:
        train(*words)
    assert ended.value.code == 1
    return capsys.readouterr().err


@pytest.fixture
def expected(preprocessed, folders, tiny_trainer_by_name, tmp_path, monkeypatch) -> tuple:
    monkeypatch.setattr(module, "use_threads_for", lambda device: None)
    save_often(tmp_path / "trainers")
    train()
    found = outcome(fold_folder(folders))
    start_over(fold_folder(folders))
    return found


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_ends_with_an_error_and_leaves_the_old_one(
    expected, folders, monkeypatch, capsys, figures
):
    fold, save = fold_folder(folders), checkpoint_module.torch.save
    with pytest.raises(SystemExit):
        train("--max-hours", "1e-9")
    before = {path.name: path.read_bytes() for path in fold.glob("*.pth")}

    def half(content, path):
        save(content, path)
        if not isinstance(path, os.PathLike):
            return  # the copy in memory
        os.truncate(path, os.path.getsize(path) // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module.torch, "save", half)
        error = fails(capsys)
    assert "was not written" in error
    assert "because the disk is full" in error
    assert "goes on with --c" in error
    assert "Traceback" not in error
    assert {path.name: path.read_bytes() for path in fold.glob("*.pth")} == before
    assert list(unreadable_files(fold)) == []
    train()
    assert_same(outcome(fold), expected)
    figures("ENOSPC in nnUNetv2_train (simulated)", 1, "one clear error; old checkpoint kept; goes on exactly")


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """An empty file system of a few MB."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"mounting needs privileges: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a picture may still be drawn


@pytest.mark.slow
def test_a_full_file_system_ends_with_an_error_and_leaves_the_old_one(
    expected, folders, monkeypatch, capsys, figures, small_disk
):
    monkeypatch.setenv("nnUNet_results", str(small_disk))
    monkeypatch.setenv("nnUNet_ignore_resources", "1")  # else the training is refused before it begins
    fold = fold_folder({"nnUNet_results": small_disk})
    with pytest.raises(SystemExit) as ended:
        train("--max-hours", "1e-9")
    assert ended.value.code == 75
    before = read_checkpoint(fold / "checkpoint_latest.pth")
    size, free = (fold / "checkpoint_latest.pth").stat().st_size, os.statvfs(small_disk)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(free.f_bavail * free.f_frsize - size * 3 // 4))
    error = fails(capsys)
    assert "was not written" in error
    assert "because the disk is full" in error
    assert "Make room" in error
    assert "Traceback" not in error
    assert list(unreadable_files(fold)) == []
    assert read_checkpoint(fold / "checkpoint_latest.pth")["logging"] == before["logging"]
    ballast.unlink()
    train()
    assert_same(outcome(fold), expected)
    figures("ENOSPC in nnUNetv2_train (tmpfs)", 1, "one clear error; old checkpoint kept; goes on exactly")
