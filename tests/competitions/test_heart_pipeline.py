"""The heart pipeline from the organisers' names to predict.zip, undisturbed and killed again and again."""

import random
import signal
import zipfile
from pathlib import Path

import pytest

from tests.competitions.heart_project import make_project, run_pipeline

KILLS = 5


@pytest.mark.slow
@pytest.mark.timeout(1200)  # two minutes on two free cores
def test_a_pipeline_that_is_killed_five_times_ends_with_the_zip_of_an_undisturbed_one(tmp_path):
    undisturbed = make_project(tmp_path / "undisturbed")
    run = run_pipeline(undisturbed)
    assert run.status == 0, run.output
    expected = (undisturbed / "predict.zip").read_bytes()
    with zipfile.ZipFile(undisturbed / "predict.zip") as archive:
        assert archive.namelist() == ["patient0009_predict.nii.gz", "patient0010_predict.nii.gz"]
        assert archive.testzip() is None

    killed = make_project(tmp_path / "killed")
    durations, chance = run.durations(), random.Random(2025)
    # Five steps in their order, each killed somewhere within; postprocessing is too short to be hit for certain.
    steps = sorted(chance.sample(range(len(durations) - 1), KILLS))
    for heading in [list(durations)[index] for index in steps]:
        run = run_pipeline(killed, kill_in=heading, delay=chance.uniform(0.0, 0.7) * durations[heading])
        assert run.status == -signal.SIGKILL, "it ended before it was killed:\n" + run.output
        assert not (killed / "predict.zip").exists()
    run = run_pipeline(killed)
    assert run.status == 0, run.output
    assert "(begun)" in run.output, "the step that was killed last is taken up again"
    assert "--- train 3d_fullres 0: complete" in run.output
    assert (killed / "predict.zip").read_bytes() == expected

    before = modification_times(killed)
    run = run_pipeline(killed)
    assert run.status == 0, run.output
    assert "===" not in run.output, "a complete pipeline has nothing to do"
    assert modification_times(killed) == before


def modification_times(project: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
