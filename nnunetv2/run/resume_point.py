"""Which checkpoint of a fold a training goes on from, and whether there is anything to go on from at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from glob import escape as glob_escape
from glob import glob
from os.path import basename, isfile, join

from nnunetv2.errors import CheckpointError
from nnunetv2.records.layout import CHECKPOINT_BEST, CHECKPOINT_FINAL, CHECKPOINT_LATEST
from nnunetv2.training.checkpoint import read_checkpoint

# Best to go on from first.
ORDER = (CHECKPOINT_FINAL, CHECKPOINT_LATEST, CHECKPOINT_BEST)
NEEDED = ("network_weights", "optimizer_state", "logging", "current_epoch")

_EPOCH_LINE = re.compile(r"^\S+ \S+: Epoch (\d+)\s*$", re.MULTILINE)


def resume_point(folder: str) -> tuple[str | None, str | None]:
    """``(checkpoint to continue from, line for the log)`` for the folder of a fold; each may be None.

    That is the final, else the latest, else the best checkpoint. When it cannot be read, the one of the latest epoch
    among all others that can takes its place, and the line names them. Without any trace of a training there is
    nothing to continue. Raises CheckpointError for traces without a readable checkpoint.

    A trace is a checkpoint file, readable or not, or a log of a second epoch: by then a checkpoint had been written.
    A training that was killed before that has nothing to lose, and starts anew.
    """
    files = [path for name in ORDER if isfile(path := join(folder, name))]
    others = sorted(set(glob(join(glob_escape(folder), "checkpoint*.pth"))) - set(files))
    unreadable: dict[str, str] = {}
    if files and _epoch_of(files[0], unreadable) is not None:
        return files[0], None
    epochs = {path: epoch for path in (*files[1:], *others) if (epoch := _epoch_of(path, unreadable)) is not None}
    if epochs:
        chosen = max(epochs, key=lambda path: epochs[path])
        return chosen, _replacement(chosen, epochs[chosen], unreadable)
    traces = [*unreadable.values(), *_logs_of_epochs(folder)]
    if not traces:
        return None, f"INFO: {folder} holds no trace of a training to continue; starting anew."
    raise CheckpointError(
        f"{folder} holds traces of a training, but no checkpoint that can be read:\n"
        + "\n".join(f"  {trace}" for trace in traces)
        + f"\nTo continue it, put a good copy of one of {', '.join(ORDER)} there. To train this fold anew, move the "
        "folder away, or leave out --c, which overwrites what is there"
    )


def _epoch_of(path: str, unreadable: dict[str, str]) -> int | None:
    """Number of the next epoch; None for a file that is none, whose description goes to ``unreadable``."""
    try:
        content = read_checkpoint(path)
    except CheckpointError as error:
        unreadable[path] = str(error).split(". It is damaged")[0]
        return None
    missing = [key for key in NEEDED if key not in content]
    if missing:
        unreadable[path] = f"{path} has no {', '.join(missing)}, so no training can go on from it"
        return None
    return int(content["current_epoch"])


def _replacement(chosen: str, epoch: int, unreadable: dict[str, str]) -> str:
    reasons = "; ".join(unreadable.values()) or f"{join(os.path.dirname(chosen), CHECKPOINT_LATEST)} does not exist"
    return f"WARNING: {reasons}. Continuing with epoch {epoch} from {chosen} instead."


def _logs_of_epochs(folder: str) -> Iterable[str]:
    for path in sorted(glob(join(glob_escape(folder), "training_log_*.txt"))):
        with open(path, encoding="utf-8", errors="replace") as stream:
            epochs = [int(number) for number in _EPOCH_LINE.findall(stream.read())]
        if epochs and max(epochs) > 0:
            yield f"{basename(path)}: a training until epoch {max(epochs)}"
