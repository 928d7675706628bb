"""Stages that are killed at random moments: repeated, they end with the files of an undisturbed run."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.faults.counts import count
from tests.faults.processes import unreadable_files
from tests.faults.stages import STAGES, Undisturbed


def moments(undisturbed: Undisturbed, number: int, seed: str) -> list[float]:
    """Random moments of a run, spread over it; every other one after its first file, since starting takes longest."""
    rng = random.Random(seed)
    starts = [undisturbed.first_file if index % 2 else 0.0 for index in range(number)]
    return [start + (undisturbed.seconds - start) * (i + rng.random()) / number for i, start in enumerate(starts)]


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_that_is_repeated_ends_like_an_undisturbed_one(name, workplace, tmp_path, figures):
    undisturbed = workplace.undisturbed(name)
    at_work = with_remains = 0
    for number, moment in enumerate(moments(undisturbed, count("kills of a stage"), name)):
        attempt = workplace.new_attempt(tmp_path / f"killed_{number}", name)
        killed = attempt.run(kill_after=moment)
        assert not list(unreadable_files(attempt.place)), f"killed after {moment:.2f} s"
        left = set(attempt.content()) - undisturbed.before
        at_work += killed.status < 0 and bool(left)
        with_remains += any(".tmp" in file for file in left)
        repeated = attempt.run(again=True)
        assert repeated.status == 0, f"killed after {moment:.2f} s, then:\n{repeated.output}"
        found = attempt.content()
        assert sorted(found) == sorted(undisturbed.content), f"killed after {moment:.2f} s"
        assert found == undisturbed.content, f"killed after {moment:.2f} s"
        shutil.rmtree(attempt.place)
    figures(
        f"SIGKILL of {name}",
        count("kills of a stage"),
        f"{at_work} amid its files, {with_remains} leaving temporary ones; all ended with the undisturbed bytes; "
        f"no unreadable file (undisturbed {undisturbed.seconds:.1f} s)",
    )
