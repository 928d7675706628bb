"""The shell scripts: syntax, and what they do without installing anything."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ["install.sh", "quickstart.sh", "test.sh", "ensemble_pipeline.sh", ".ci/run"]

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_can_parse_it_and_it_stops_at_errors(script):
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
    text = (ROOT / script).read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text


@pytest.fixture
def fake_project(tmp_path) -> Path:
    """A copy of the scripts with an interpreter that records its calls instead of installing."""
    for name in [*SCRIPTS, "pyproject.toml", "setup.py", "constraints.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    python = tmp_path / "python"
    python.write_text(
        f"""#!/usr/bin/env bash
if [ "$1" = -m ] && [ "$2" = venv ]; then
    mkdir -p .venv/bin && cp "{python}" .venv/bin/python
    for tool in ruff mypy; do printf '#!/bin/sh\\necho %s "$@" >>"{tmp_path}/calls"\\n' $tool >.venv/bin/$tool; done
    chmod +x .venv/bin/*
elif [ "$1" = -m ]; then
    echo "$@" >>"{tmp_path}/calls"
else
    exec "{os.sys.executable}" "$@"
fi
"""
    )
    python.chmod(0o755)
    return tmp_path


def run(project: Path, script: str, *arguments: str) -> list[str]:
    """Calls that one run of ``script`` made."""
    (project / "calls").write_text("")
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(project / "python")}
    subprocess.run(["bash", str(project / script), *arguments], check=True, env=environment, capture_output=True)
    return (project / "calls").read_text().splitlines()


def test_the_second_installation_does_nothing_until_a_file_changes(fake_project):
    assert run(fake_project, "install.sh") == ["-m pip install --quiet --constraint constraints.txt --editable ."]
    assert run(fake_project, "install.sh") == []
    with open(fake_project / "constraints.txt", "a") as stream:
        stream.write("# changed\n")
    assert len(run(fake_project, "install.sh")) == 1


def test_the_test_installation_covers_the_plain_one_but_not_the_reverse(fake_project):
    run(fake_project, "install.sh")
    assert run(fake_project, "install.sh", "test")[0].endswith("--editable .[test]")
    assert run(fake_project, "install.sh") == []


def test_quickstart_passes_its_arguments_on(fake_project):
    assert run(fake_project, "quickstart.sh", "--folder", "x y")[-1] == "-m nnunetv2.demo.quickstart --folder x y"


def test_tests_run_after_the_style_checks_and_all_means_the_slow_ones_too(fake_project):
    fast, everything = run(fake_project, "test.sh", "-x"), run(fake_project, ".ci/run")
    assert [call.split()[0] for call in fast] == ["-m", "ruff", "ruff", "mypy", "-m"]
    assert fast[-1].endswith(" -x")
    assert "not gpu" not in fast[-1]
    assert everything[-1].endswith("-m not gpu")
    assert all("--cov" in calls[-1] for calls in (fast, everything))


def test_an_old_interpreter_is_refused_with_the_way_out(fake_project):
    old = fake_project / "old"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 && exit 0\nexit 1\n')
    old.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHON": str(old)}
    result = subprocess.run(
        ["bash", str(fake_project / "install.sh")], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert re.search(r"Python 3\.8\.1 is too old.*PYTHON=", result.stderr)


def test_every_pinned_package_is_a_dependency_or_comes_with_one():
    declared = (ROOT / "pyproject.toml").read_text(encoding="utf-8").lower()
    pinned = re.findall(r"^([\w-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    indirect = {"torchvision", "timm"}
    assert len(pinned) > 15
    assert not [name for name in pinned if name.lower() not in declared and name not in indirect]
