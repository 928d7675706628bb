"""Every bash block of README.md, taken from it as it is now, run in order on a small stand-in for the FLARE24 data."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.flare24.image import CONFIGURATION, DATASET, ROOT, SPECIAL
from tests.flare24.stand_in import (
    ON_THIS_MACHINE,
    SUBSTITUTED,
    environment,
    readme_blocks,
    substituted,
    write_stand_in,
)

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
MODEL = f"{SPECIAL}__nnUNetPlans__{CONFIGURATION}"


def flow(blocks: list[str]) -> list[str]:
    """The blocks that are run, in order."""
    return [block for block in blocks if substituted(block) is None]


def test_only_installing_docker_and_the_heart_data_are_substituted():
    blocks = readme_blocks()
    assert len(blocks) >= 10
    assert len(blocks) - len(flow(blocks)) == len(SUBSTITUTED)
    assert not [block for block in flow(blocks) if "docker" in block or "install.sh" in block]


def make_workspace(folder: Path) -> Path:
    """A checkout as far as the commands need it, with data in place of the challenge's."""
    folder.mkdir()
    shutil.copy(ROOT / "predict.sh", folder)
    shutil.copytree(ROOT / "nnUNet_results", folder / "nnUNet_results", ignore=shutil.ignore_patterns("fold_all"))
    write_stand_in(folder / "nnUNet_raw")
    return folder


def run(script: str, workspace: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", ON_THIS_MACHINE + script],
        cwd=workspace,
        env=environment(workspace, learning_rate=0),
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The folder after all blocks, each in a shell that has run the ``export`` of the blocks before it."""
    workspace = make_workspace(tmp_path_factory.mktemp("readme") / "checkout")
    exports = ""
    for block in flow(readme_blocks()):
        run(exports + block, workspace)
        exports += "".join(re.findall(r"^export .*\n", block, re.MULTILINE))
        if "evaluate_flare" in block and not (workspace / "kept").exists():
            shutil.copytree(workspace / "nnUNet_preprocessed", workspace / "kept")  # the last block uses other plans
    return workspace


@needs_bash
@pytest.mark.slow
def test_the_commands_of_the_readme_lead_from_raw_data_to_scores(finished):
    predictions, outputs = finished / "predictions", finished / "outputs"
    assert (predictions / "FLARE24_0003.nii.gz").is_file()
    scored = json.loads((outputs / "flare.json").read_text())
    assert scored["cases"][0]["running_time_s"] > 0
    assert 0 <= scored["mean"]["dsc"] <= 1
    for folder in (predictions, outputs):
        assert sitk.ReadImage(str(folder / "FLARE24_0003.nii.gz")).GetSize() == (28, 26, 16)
    assert (finished / "meaningless" / "FLARE24_0003.nii.gz").is_file()


@needs_bash
@pytest.mark.slow
def test_the_published_plans_share_the_preprocessed_cases_of_3d_fullres(finished):
    """``3d_fullres_S4D2W32`` has none of its own there: it inherits the data identifier, as the README says."""
    trained = json.loads((finished / "my_results" / DATASET / MODEL / "plans.json").read_text())
    assert "data_identifier" not in trained["configurations"][CONFIGURATION]
    assert (finished / "nnUNet_preprocessed" / DATASET / "nnUNetPlans_3d_fullres").is_dir()
    derived = json.loads((finished / "kept" / DATASET / "nnUNetPlans.json").read_text())
    assert derived["configurations"][CONFIGURATION]["data_identifier"] == f"nnUNetPlans_{CONFIGURATION}"


@needs_bash
@pytest.mark.slow
def test_the_hand_edit_of_the_documentation_and_the_command_give_the_same_plans(finished):
    derived = json.loads((finished / "kept" / DATASET / "nnUNetPlans.json").read_text())
    page = (ROOT / "documentation" / "editing_plans.md").read_text(encoding="utf-8")
    example = next(b for b in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if CONFIGURATION in b)
    by_hand = json.loads(json.dumps(derived))
    del by_hand["configurations"][CONFIGURATION]
    by_hand["configurations"] |= json.loads("{" + example.rstrip().rstrip(",") + "}")
    assert by_hand == derived


@dataclass
class Command:
    """One command of the flow, how it is repeated after an interruption, and how long it may run before the kill."""

    text: str
    again: str
    longest: float


def commands_of_the_flow() -> list[Command]:
    """The commands of steps 1 to 6, which the README says may be interrupted, each with the option it names."""
    text = "\n".join(flow(readme_blocks())).split("python -m nnunetv2.demo")[0]
    options = {"derive": "--overwrite", "nnUNetv2_train": "--c", "nnUNetv2_predict": "--continue_prediction"}
    commands = []
    for line in text.splitlines():
        if line.startswith(("nnUNetv2_", "INPUTS")):
            added = next((option for word, option in options.items() if word in line), "")
            added = "--continue_prediction" if line.startswith("INPUTS") else added
            commands.append(Command(line, f"{line} {added}", 5 if "train" in line or "predict" in line else 1.5))
    return commands


def start_and_kill(command: str, workspace: Path, seconds: float) -> bool:
    """Kill the command and all it started after ``seconds``; whether it was still at work."""
    process = subprocess.Popen(
        ["bash", "-c", ON_THIS_MACHINE + command],
        cwd=workspace,
        env=environment(workspace, learning_rate=0),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    at_work = process.poll() is None
    if at_work:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


@needs_bash
@pytest.mark.slow
def test_every_command_can_be_killed_and_typed_again(finished, tmp_path):
    """Killed at a random moment each, the commands end with the files of an undisturbed run."""
    workspace = make_workspace(tmp_path / "checkout")
    blocks = flow(readme_blocks())
    exports = "".join(re.findall(r"^export .*\n", "\n".join(blocks), re.MULTILINE))
    run(blocks[0], workspace)
    seed = random.SystemRandom().randrange(10**6)
    draw, killed = random.Random(seed), 0
    for command in commands_of_the_flow():
        killed += start_and_kill(exports + command.text, workspace, draw.uniform(0.3, command.longest))
        run(exports + command.again, workspace)
    assert killed >= 3, f"seed {seed}: the moments were too late"
    for name in ("dataset_fingerprint.json", "nnUNetPlans.json"):
        kept, ours = (folder / DATASET / name for folder in (finished / "kept", workspace / "nnUNet_preprocessed"))
        assert kept.read_bytes() == ours.read_bytes(), f"seed {seed}: {name}"
    for folder in ("predictions", "outputs"):
        files = [place / folder / "FLARE24_0003.nii.gz" for place in (finished, workspace)]
        undisturbed, ours = (sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in files)
        assert np.array_equal(undisturbed, ours), f"seed {seed}: {folder}"
