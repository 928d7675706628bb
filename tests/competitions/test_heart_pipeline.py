"""The heart pipeline from the organisers' names to predict.zip, undisturbed and killed again and again."""

import random
import signal
import time
import zipfile

import pytest

from tests.competitions.heart_project import DATASET, make_project, run_pipeline

KILLS = 5


@pytest.mark.slow
def test_a_pipeline_that_is_killed_five_times_ends_with_the_zip_of_an_undisturbed_one(tmp_path):
    undisturbed = make_project(tmp_path / "undisturbed")
    start = time.monotonic()
    status, output = run_pipeline(undisturbed)
    duration = time.monotonic() - start
    assert status == 0, output
    expected = (undisturbed / "predict.zip").read_bytes()
    with zipfile.ZipFile(undisturbed / "predict.zip") as archive:
        assert archive.namelist() == ["patient0009_predict.nii.gz", "patient0010_predict.nii.gz"]
        assert archive.testzip() is None

    killed = make_project(tmp_path / "killed")
    moments = random.Random(2025)
    outputs = []
    for _ in range(KILLS):
        status, output = run_pipeline(killed, seconds=moments.uniform(0.05, 0.35) * duration)
        assert status == -signal.SIGKILL, "it ended before it was killed:\n" + output
        assert not (killed / "predict.zip").exists()
        outputs.append(output)
    status, output = run_pipeline(killed)
    assert status == 0, output
    assert (killed / "predict.zip").read_bytes() == expected
    assert "--- train 3d_fullres 0: complete" in output
    assert any("(begun)" in text for text in [*outputs, output]), "no kill hit a step at work"

    before = {path: path.stat().st_mtime_ns for path in killed.rglob("*") if path.is_file()}
    status, output = run_pipeline(killed)
    assert status == 0, output
    assert "===" not in output, "a complete pipeline has nothing to do"
    after = {path: path.stat().st_mtime_ns for path in killed.rglob("*") if path.is_file()}
    assert {path for path in after if before.get(path) != after[path]} == set()
    assert (killed / "nnUNet_raw" / DATASET / "dataset.json").is_file()
