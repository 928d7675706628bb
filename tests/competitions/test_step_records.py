"""Judging whether a step is complete."""

import json

import numpy as np
import pytest

from nnunetv2.competitions.step_records import State, Step, begin, file_mark, finish, key_of, state_of
from nnunetv2.errors import DatasetError, UsageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def step(folder, inputs=None, **changes) -> Step:
    """A step that makes ``result.txt``."""
    settings = {
        "title": "making things",
        "record": folder / ".record.json",
        "inputs": inputs or {"a": 1},
        "missing": lambda: [] if (folder / "result.txt").exists() else ["result.txt"],
        "output": folder,
    }
    return Step(**(settings | changes))


def test_a_step_goes_from_new_over_begun_to_complete(folder):
    assert state_of(step(folder)) is State.NEW
    begin(step(folder))
    assert state_of(step(folder)) is State.BEGUN
    (folder / "result.txt").write_text("x")
    assert state_of(step(folder)) is State.BEGUN, "a result without the note that it is done may be half a result"
    finish(step(folder))
    assert state_of(step(folder)) is State.COMPLETE


def test_a_result_that_lost_files_is_not_complete(folder):
    begin(step(folder))
    (folder / "result.txt").write_text("x")
    finish(step(folder))
    (folder / "result.txt").unlink()
    assert state_of(step(folder)) is State.BEGUN


def test_a_step_that_ends_without_its_result_is_an_error_and_not_noted_as_done(folder):
    begin(step(folder))
    with pytest.raises(DatasetError, match=r"making things ended without result\.txt"):
        finish(step(folder))
    assert json.loads((folder / ".record.json").read_text())["state"] == "begun"


def test_changed_inputs_empty_the_own_folder_before_the_step_starts_anew(folder):
    begin(step(folder))
    (folder / "result.txt").write_text("x")
    (folder / "sub").mkdir()
    finish(step(folder))
    changed = step(folder, {"a": 2})
    assert state_of(changed) is State.CHANGED
    begin(changed)
    assert [path.name for path in folder.iterdir()] == [".record.json"]
    assert state_of(changed) is State.BEGUN


def test_an_interrupted_step_that_cannot_be_continued_starts_from_an_empty_folder(folder):
    whole = step(folder, resumable=False)
    assert begin(whole) is State.NEW
    (folder / "half.txt").write_text("x")
    assert begin(step(folder)) is State.BEGUN
    assert (folder / "half.txt").exists()
    assert begin(whole) is State.BEGUN
    assert not (folder / "half.txt").exists()


def test_beginning_a_complete_step_changes_nothing(folder):
    begin(step(folder))
    (folder / "result.txt").write_text("x")
    finish(step(folder))
    assert begin(step(folder)) is State.COMPLETE
    assert state_of(step(folder)) is State.COMPLETE


def test_changed_inputs_of_a_costly_step_are_an_error_with_the_way_out(folder):
    begin(step(folder))
    with pytest.raises(DatasetError, match="making things: move it away"):
        state_of(step(folder, {"a": 2}, when_changed="move it away"))


def test_strange_files_in_the_way_are_never_deleted(folder):
    (folder / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="did not make"):
        begin(step(folder))
    assert (folder / "thesis.txt").exists()


def test_temporary_files_of_a_killed_process_are_not_in_the_way(folder):
    (folder / ".tmp123_result.txt").write_text("x")
    assert begin(step(folder)) is State.NEW


def test_work_done_by_hand_counts_where_that_is_allowed(folder):
    by_hand = step(folder, adopt=True)
    assert state_of(by_hand) is State.BEGUN
    (folder / "result.txt").write_text("x")
    assert state_of(by_hand) is State.COMPLETE
    assert not (folder / ".record.json").exists()


def test_a_result_that_appears_at_once_is_complete_without_the_last_note(folder):
    begin(step(folder, all_at_once=True))
    (folder / "result.txt").write_text("x")
    assert state_of(step(folder, all_at_once=True)) is State.COMPLETE


def test_notes_are_taken_when_the_step_is_done(folder):
    begin(step(folder, notes=lambda: {"chosen": "b"}))
    (folder / "result.txt").write_text("x")
    finish(step(folder, notes=lambda: {"chosen": "b"}))
    assert json.loads((folder / ".record.json").read_text())["chosen"] == "b"


def test_marks_change_with_the_beginning_of_a_large_compressed_file(tmp_path):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 255, 300_000, dtype=np.uint8)
    marks = []
    for value in (0, 1):
        array[0] = value
        np.savez_compressed(tmp_path / "a.npz", array)
        marks.append(file_mark(tmp_path / "a.npz"))
    assert marks[0].split(":")[0] == marks[1].split(":")[0], "sizes are equal, so only the content tells"
    assert marks[0] != marks[1]
    assert file_mark(tmp_path / "none") == "absent"


def test_keys_depend_on_values_and_not_on_their_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
