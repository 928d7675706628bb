"""Every broken data set is answered with a line that names file, key, value and way out; sound ones with nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nnunetv2.experiment_planning.doctor.commands import doctor_entry_point
from tests.experiment_planning.doctor.broken_datasets import BROKEN, Broken, copy_of, write_sound_dataset
from tests.shared_data import DATA, needs_shared


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    return write_sound_dataset(tmp_path_factory.mktemp("sound"))


def run(capsys, *arguments: str) -> tuple[int, str]:
    """Exit status and output of the command."""
    status = 0
    try:
        doctor_entry_point([*arguments, "-np", "1"])
    except SystemExit as end:
        status = int(end.code)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.out + captured.err
    assert captured.err == ""
    return status, captured.out


def test_there_are_enough_of_them_and_no_two_are_called_the_same():
    assert len(BROKEN) >= 60
    assert len({(broken.name, broken.key) for broken in BROKEN}) == len(BROKEN)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.name}, {broken.key}")
def test_the_message_names_file_key_value_and_way_out(broken: Broken, sound, tmp_path, capsys):
    folder = copy_of(sound, tmp_path)
    broken.broken(folder)
    status, output = run(capsys, str(next(tmp_path.iterdir())))
    wanted = (broken.file, broken.key, broken.value, broken.way_out)
    section, found = "", []
    for line in output.splitlines():
        if not line.startswith(" "):
            section = line
        if line.startswith("  - ") and all(part in line for part in wanted):
            found.append(section)
    assert found, f"no line has all of {wanted}:\n{output}"
    assert broken.severity in found[0]
    assert status == (0 if output.splitlines()[-1].startswith(("0 errors", "no problems")) else 1)
    assert status == 1 or broken.severity != "error"


def test_breaking_a_copy_leaves_the_sound_data_set_alone(sound, capsys):
    status, output = run(capsys, str(sound))
    assert status == 0
    assert output.endswith("no problems found\n")
    assert "- " not in output.split("time in one process")[1]


@needs_shared
@pytest.mark.parametrize("name", sorted(path.name for path in DATA.glob("Dataset*")) if DATA.is_dir() else [])
def test_real_data_sets_have_no_findings(name, capsys):
    status, output = run(capsys, str(DATA / name), "--json")
    assert status == 0
    assert json.loads(output)["findings"] == []


def test_a_data_set_is_found_by_number_and_name(sound, monkeypatch, capsys):
    monkeypatch.setenv("nnUNet_raw", str(sound.parent))
    for dataset in ("123", sound.name):
        assert run(capsys, dataset)[0] == 0


def test_a_data_set_that_does_not_exist_is_one_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        doctor_entry_point([os.path.join(tmp_path, "nowhere")])
    assert end.value.code == 1
    assert "nowhere does not exist; give the number" in capsys.readouterr().err
