"""What ``--c`` goes on from: the order of checkpoints, unreadable ones, and folders without any."""

from __future__ import annotations

from pathlib import Path

import pytest

from nnunetv2.errors import CheckpointError
from nnunetv2.run.resume_point import resume_point
from nnunetv2.training.checkpoint import write_checkpoint

LOG = "2026-01-02 03:04:05.678901: Epoch {} \n2026-01-02 03:04:06.000000: Current learning rate: 0.01 \n"


def checkpoint(folder: Path, name: str, epoch: int) -> str:
    path = folder / f"checkpoint_{name}.pth"
    write_checkpoint(path, {"network_weights": {}, "optimizer_state": {}, "logging": {}, "current_epoch": epoch})
    return str(path)


def cut(path: str) -> str:
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    return path


def flip_a_bit(path: str) -> str:
    content = bytearray(Path(path).read_bytes())
    content[content.index(b"current_epoch") + 3] ^= 1
    Path(path).write_bytes(content)
    return path


def test_a_readable_checkpoint_is_taken_in_the_order_final_latest_best(tmp_path):
    names = [checkpoint(tmp_path, name, epoch) for epoch, name in enumerate(("final", "latest", "best"))]
    for name in names:
        assert resume_point(str(tmp_path)) == (name, None)
        Path(name).unlink()


@pytest.mark.parametrize("spoil", [cut, flip_a_bit])
def test_an_unreadable_latest_is_replaced_by_the_one_before_with_one_line(tmp_path, spoil):
    latest, before = checkpoint(tmp_path, "latest", 9), checkpoint(tmp_path, "latest_1", 8)
    checkpoint(tmp_path, "latest_2", 7)
    checkpoint(tmp_path, "best", 5)
    spoil(latest)
    found, note = resume_point(str(tmp_path))
    assert found == before
    assert note.startswith("WARNING: ")
    assert latest in note
    assert f"Continuing with epoch 8 from {before} instead" in note
    assert "\n" not in note


def test_where_one_is_kept_the_best_takes_the_place_of_an_unreadable_latest(tmp_path):
    best = checkpoint(tmp_path, "best", 5)
    cut(checkpoint(tmp_path, "latest", 9))
    assert resume_point(str(tmp_path))[0] == best


def test_the_latest_epoch_wins_among_what_is_left(tmp_path):
    cut(checkpoint(tmp_path, "final", 10))
    checkpoint(tmp_path, "latest", 5)
    best = checkpoint(tmp_path, "best", 7)
    cut(checkpoint(tmp_path, "latest_1", 9))
    found, note = resume_point(str(tmp_path))
    assert found == best
    assert "checkpoint_final.pth" in note
    assert "checkpoint_latest_1.pth" in note


def test_an_older_one_is_found_when_the_latest_is_gone(tmp_path):
    before = checkpoint(tmp_path, "latest_1", 3)
    found, note = resume_point(str(tmp_path))
    assert found == before
    assert "checkpoint_latest.pth does not exist" in note


def test_without_a_trace_there_is_nothing_to_continue(tmp_path):
    (tmp_path / "training_log_2026_1_2_03_04_05.txt").write_text(LOG.format(0))
    (tmp_path / "debug.json").write_text("{}")
    found, note = resume_point(str(tmp_path))
    assert found is None
    assert note.startswith("INFO: ")
    assert "no trace" in note


def test_traces_without_a_readable_checkpoint_are_an_error_that_lists_them(tmp_path):
    latest = cut(checkpoint(tmp_path, "latest", 9))
    log = tmp_path / "training_log_2026_1_2_03_04_05.txt"
    log.write_text("".join(LOG.format(epoch) for epoch in range(38)))
    with pytest.raises(CheckpointError) as caught:
        resume_point(str(tmp_path))
    text = str(caught.value)
    assert latest in text
    assert "there is no complete archive in it" in text
    assert f"{log.name}: a training until epoch 37" in text
    assert "put a good copy" in text
    assert "leave out --c" in text
    Path(latest).unlink()
    with pytest.raises(CheckpointError, match="until epoch 37"):
        resume_point(str(tmp_path))


def test_weights_alone_are_no_checkpoint_to_continue_from(tmp_path):
    write_checkpoint(tmp_path / "checkpoint_latest.pth", {"network_weights": {}})
    with pytest.raises(CheckpointError, match="has no optimizer_state, logging, current_epoch"):
        resume_point(str(tmp_path))
