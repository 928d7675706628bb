"""Stages that are killed at random moments: repeated, they end with the files of an undisturbed run."""

from __future__ import annotations

import functools
import os
import random
import shutil
from pathlib import Path

import pytest

from tests.faults.counts import count
from tests.faults.processes import unreadable_files
from tests.faults.stages import STAGES, Undisturbed


def moments(undisturbed: Undisturbed, number: int, seed: str) -> list[tuple[bool, float]]:
    """Random moments, spread over the run; seconds from the start, or (True) from the first file on.

    Every other one is of the second kind: most of a short run is its start.
    """
    rng = random.Random(seed)
    at_work = undisturbed.seconds - undisturbed.first_file
    lengths = [(index % 2 == 1, at_work if index % 2 else undisturbed.seconds) for index in range(number)]
    return [(late, length * (index + rng.random()) / number) for index, (late, length) in enumerate(lengths)]


def has_more_than(folder: Path, files: int) -> bool:
    return sum(len(names) for _, _, names in os.walk(folder)) > files


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_that_is_repeated_ends_like_an_undisturbed_one(name, workplace, tmp_path, figures):
    undisturbed = workplace.undisturbed(name)
    at_work = with_remains = 0
    for number, (late, seconds) in enumerate(moments(undisturbed, count("kills of a stage"), name)):
        attempt = workplace.new_attempt(tmp_path / f"killed_{number}", name)
        first_file = functools.partial(has_more_than, attempt.place, len(undisturbed.before)) if late else None
        killed = attempt.run(kill_after=seconds, kill_counts_from=first_file)
        moment = f"killed {seconds:.2f} s after {'its first file' if late else 'its start'}"
        assert not list(unreadable_files(attempt.place)), moment
        left = set(attempt.content()) - undisturbed.before
        at_work += killed.status < 0 and bool(left)
        with_remains += any(".tmp" in file for file in left)
        repeated = attempt.run(again=True)
        assert repeated.status == 0, f"{moment}, then:\n{repeated.output}"
        found = attempt.content()
        assert sorted(found) == sorted(undisturbed.content), moment
        assert found == undisturbed.content, moment
        shutil.rmtree(attempt.place)
    figures(
        f"SIGKILL of {name}",
        count("kills of a stage"),
        f"{at_work} amid its files, {with_remains} leaving temporary ones; all ended with the undisturbed bytes; "
        f"no unreadable file (undisturbed {undisturbed.seconds:.1f} s)",
    )
