"""Stages that are killed at random moments: repeated, they end with the files of an undisturbed run."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.faults.counts import count
from tests.faults.processes import unreadable_files
from tests.faults.stages import STAGES, Workplace


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("origin"))


def moments(seconds: float, number: int, seed: str) -> list[float]:
    """Random moments of a run that takes so long, one in each of ``number`` equal parts."""
    rng = random.Random(seed)
    return [seconds * (index + rng.random()) / number for index in range(number)]


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_a_killed_stage_that_is_repeated_ends_like_an_undisturbed_one(name, workplace, tmp_path, figures):
    undisturbed = workplace.new_attempt(tmp_path / "undisturbed", name)
    before = set(undisturbed.content())
    done = undisturbed.run()
    assert done.status == 0, done.output
    expected = undisturbed.content()
    assert not [file for file in expected if ".tmp" in file]
    at_work = with_remains = 0
    for number, moment in enumerate(moments(done.seconds, count("kills of a stage"), name)):
        attempt = workplace.new_attempt(tmp_path / f"killed_{number}", name)
        killed = attempt.run(kill_after=moment)
        assert not list(unreadable_files(attempt.place)), f"killed after {moment:.2f} s"
        left = set(attempt.content()) - before
        at_work += killed.status < 0 and bool(left)
        with_remains += any(".tmp" in file for file in left)
        repeated = attempt.run(again=True)
        assert repeated.status == 0, f"killed after {moment:.2f} s, then:\n{repeated.output}"
        found = attempt.content()
        assert sorted(found) == sorted(expected), f"killed after {moment:.2f} s"
        assert found == expected, f"killed after {moment:.2f} s"
        shutil.rmtree(attempt.place)
    figures(
        f"SIGKILL of {name}",
        count("kills of a stage"),
        f"{at_work} amid its files, {with_remains} leaving temporary ones; all ended with the undisturbed bytes; "
        f"no unreadable file (undisturbed {done.seconds:.1f} s)",
    )
