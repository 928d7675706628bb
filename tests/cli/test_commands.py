import sys

import pytest

from nnunetv2.cli.arguments import add_device, add_processes, command_parser
from nnunetv2.cli.commands import command
from nnunetv2.errors import DatasetError


def test_a_user_error_becomes_one_line_and_exit_status_1(capsys):
    @command
    def main(argv):
        raise DatasetError("case_7: label 9 is unknown")

    with pytest.raises(SystemExit) as exit_info:
        main([])
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == "Error: case_7: label 9 is unknown\n"


def test_a_defect_of_ours_keeps_its_traceback():
    @command
    def main(argv):
        raise KeyError("oops")

    with pytest.raises(KeyError):
        main([])


def test_debug_mode_shows_the_traceback_of_user_errors(monkeypatch):
    monkeypatch.setenv("nnUNet_debug", "1")

    @command
    def main(argv):
        raise DatasetError("x")

    with pytest.raises(DatasetError):
        main([])


def test_shared_flags_parse_and_reject():
    parser = command_parser("nnUNetv2_x", "does x")
    add_processes(parser, what="work")
    add_device(parser)
    arguments = parser.parse_args(["-np", "3", "-device", "cpu"])
    assert (arguments.np, arguments.device) == (3, "cpu")
    with pytest.raises(SystemExit) as exit_info:
        parser.parse_args(["-device", "tpu"])
    assert exit_info.value.code == 2


def test_the_command_room_loads_nothing_heavy():
    import subprocess

    code = (
        "import sys, nnunetv2.cli.commands, nnunetv2.cli.arguments;"
        "assert not {'torch', 'numpy', 'SimpleITK'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
