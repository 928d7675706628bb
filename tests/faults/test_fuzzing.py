"""No input that hypothesis makes up ends in anything but a declared error: no other exception, no hang, no crash."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.counts import count

pytestmark = pytest.mark.slow

_SECONDS_TO_START = 60


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("target", ["readers", "plans"])
def test_fuzzing_finds_declared_errors_only(target, tmp_path, figures):
    seconds, inputs, problems, rounds = count("seconds of fuzzing"), 0, [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end or rounds == 0:
        folder = tmp_path / str(rounds)
        folder.mkdir()
        left = max(1.0, end - time.monotonic()) if rounds else seconds
        command = [sys.executable, "-m", "tests.faults.fuzzing", target, str(left), str(1000 * rounds), str(folder)]
        process = subprocess.run(
            command,
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            timeout=left + _SECONDS_TO_START,
        )
        report = json.loads((folder / "report.json").read_text()) if (folder / "report.json").exists() else {}
        inputs += report.get("inputs", 0)
        problems += [f"{kind}: {finding}" for kind, finding in report.get("findings", {}).items()]
        if process.returncode != 0:
            kept = shutil.copytree(folder / "current", tmp_path / f"killed_{rounds}", dirs_exist_ok=True)
            problems.append(f"status {process.returncode} while reading {kept}: {process.stderr[-500:]!r}")
        rounds += 1
    figures(f"fuzzing of {target}", seconds, f"{inputs} inputs, {len(problems)} failures")
    assert inputs > 0
    assert not problems, "\n".join(problems)
