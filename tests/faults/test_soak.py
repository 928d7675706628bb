"""One resident predictor, many predictions, three threads: memory stays flat and results stay the same."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

from tests.faults.counts import count

THREADS = 3
ALLOWED_GROWTH = 1.05


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_memory_stays_flat_and_results_stay_the_same(engine, tmp_path, figures):
    predictions = count("predictions of the soak")
    words = [sys.executable, "-m", "tests.faults.soak", engine, str(predictions), str(THREADS), str(tmp_path)]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert len(seen["memory"]) == predictions
    # The first fifth warms up: every thread and every kind of prediction has been there.
    part = predictions // 5
    before, after = median(seen["memory"][part : 2 * part]), median(seen["memory"][-part:])
    figures(
        f"long use, {engine}",
        predictions,
        f"{THREADS} threads, {before:.0f} MiB after warm-up, {after:.0f} MiB at the end, {seen['different']} results "
        "differ from the first",
    )
    assert seen["different"] == 0
    assert after < ALLOWED_GROWTH * before
