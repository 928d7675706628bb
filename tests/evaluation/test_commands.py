"""The two evaluation commands."""

import json
import subprocess
import sys

import pytest

from nnunetv2.evaluation.commands import evaluate_folder_entry_point, evaluate_simple_entry_point


def test_simple_command_writes_the_summary_and_prints_the_dice(two_folders, capsys):
    reference, prediction = map(str, two_folders)
    evaluate_simple_entry_point([reference, prediction, "-l", "1", "2", "-il", "3", "-np", "1"])
    summary = json.loads((two_folders[1] / "summary.json").read_text())
    printed = capsys.readouterr().out
    assert set(summary["mean"]) == {"1", "2"}
    assert f"foreground: mean Dice {summary['foreground_mean']['Dice']:.4f}" in printed


def test_folder_command_writes_where_it_is_told(two_folders, tmp_path):
    content = {"labels": {"background": 0, "a": 1}, "channel_names": {"0": "CT"}, "file_ending": ".nii.gz"}
    (tmp_path / "d.json").write_text(json.dumps(content))
    (tmp_path / "p.json").write_text(json.dumps({"configurations": {}}))
    files = ["-djfile", str(tmp_path / "d.json"), "-pfile", str(tmp_path / "p.json"), "-o", str(tmp_path / "out.json")]
    evaluate_folder_entry_point([*map(str, two_folders), *files, "-np", "1"])
    assert set(json.loads((tmp_path / "out.json").read_text())["mean"]) == {"1"}
    assert not (two_folders[1] / "summary.json").exists()


def test_errors_are_one_message_and_exit_status_1(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        evaluate_simple_entry_point([str(tmp_path / "none"), str(tmp_path), "-l", "1"])
    assert stop.value.code == 1
    assert "the reference folder" in capsys.readouterr().err


def test_missing_arguments_end_with_status_2(capsys):
    with pytest.raises(SystemExit) as stop:
        evaluate_simple_entry_point(["a", "b"])
    assert stop.value.code == 2
    assert "-l" in capsys.readouterr().err


def test_the_module_of_the_commands_imports_nothing_heavy():
    code = "import sys, nnunetv2.evaluation.commands; print(sorted({'torch', 'numpy', 'SimpleITK'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
