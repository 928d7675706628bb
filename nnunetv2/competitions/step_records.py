"""Whether a step of a long pipeline is complete: a record beside its result, bound to what the result was made from.

A record is written before the work ("begun") and after it ("done"), each time with a key over all inputs. So a step
that was killed, a result that lost files, and inputs that changed are told apart from a complete result.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.records.files import PathLike, read_json, write_json

# The end of a gzip file holds the check sum of its content, that of a zip file (.npz, .pth) the check sums of all
# members, so the end of a file stands for the whole of it. Text files of this size are read in full.
_TAIL = 2**16


class State(Enum):
    """What has to be done for a step."""

    COMPLETE = "complete"
    NEW = "new"
    """Nothing is there."""
    BEGUN = "begun"
    """Interrupted; what is there belongs to the present inputs, and may be continued."""
    CHANGED = "changed"
    """What is there was made from other inputs."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step: what it is made from, what it makes, and where that is noted."""

    title: str
    record: Path
    """The file of the record."""
    inputs: Mapping[str, Any]
    """Everything the result depends on, as plain values; files as ``file_mark`` gives them."""
    missing: Callable[[], list[str]]
    """Files of the result that are not there."""
    output: Path | None = None
    """Folder that belongs to this step alone and is emptied before it starts anew; None: nothing is deleted."""
    resumable: bool = True
    """Whether an interrupted step continues with what is in ``output``; otherwise that is emptied, too."""
    all_at_once: bool = False
    """The result appears only when it is complete, so it needs no record saying so."""
    adopt: bool = False
    """A result without record counts as made from the present inputs: users did this step by hand."""
    when_changed: str | None = None
    """Advice for the error when the inputs have changed; None: the step is simply done again."""
    notes: Callable[[], Mapping[str, Any]] = field(default=dict)
    """Further entries for the record, computed when the step is done."""


def file_mark(path: PathLike) -> str:
    """Size and a hash that change when the content of the file changes; ``absent`` without file."""
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - _TAIL))
            return f"{size}:{hashlib.sha256(stream.read()).hexdigest()}"
    except FileNotFoundError:
        return "absent"


def key_of(inputs: Mapping[str, Any]) -> str:
    """A hash of plain values, independent of the order of keys."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def state_of(step: Step) -> State:
    """What is to be done. Raises UsageError when files lie in the way, DatasetError when changed inputs forbid it."""
    if not step.record.exists():
        return _state_without_record(step)
    record = read_json(step.record)
    if record["key"] != key_of(step.inputs):
        if step.when_changed is not None:
            raise DatasetError(f"{step.title}: {step.when_changed}")
        return State.CHANGED
    finished = step.all_at_once or record["state"] == "done"
    return State.COMPLETE if finished and not step.missing() else State.BEGUN


def _state_without_record(step: Step) -> State:
    if step.adopt:
        if not step.missing():
            return State.COMPLETE
        return State.NEW if step.output is None or not step.output.exists() else State.BEGUN
    # Hidden files may be ours: temporary ones that a killed process left behind.
    visible = step.output is not None and step.output.is_dir() and any(e.name[0] != "." for e in step.output.iterdir())
    if visible:
        raise UsageError(
            f"{step.title}: {step.output} holds files that this pipeline did not make. Move that folder away"
        )
    return State.NEW


def begin(step: Step) -> State:
    """Judge a step and, unless it is complete, note that work starts; returns the state that was found.

    What was made from other inputs is deleted first if it is the step's own, and so is an interrupted result that
    cannot be continued.
    """
    state = state_of(step)
    if state is State.COMPLETE:
        return state
    if step.output is not None and (state is State.CHANGED or (state is State.BEGUN and not step.resumable)):
        # The record stays until the end, so that a deletion that is interrupted is known to be ours when repeated.
        for entry in step.output.iterdir():
            if entry != step.record:
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    _write(step, "begun")
    return state


def finish(step: Step) -> None:
    """Note that the step is done. Raises DatasetError listing what is missing of its result."""
    missing = step.missing()
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise DatasetError(f"{step.title} ended without {', '.join(missing[:10])}{more}")
    _write(step, "done", step.notes())


def _write(step: Step, state: str, notes: Mapping[str, Any] | None = None) -> None:
    write_json(step.record, {**(notes or {}), "state": state, "key": key_of(step.inputs), "inputs": dict(step.inputs)})
