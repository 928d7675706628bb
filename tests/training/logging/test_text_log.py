"""Format of the text log, and what happens when the disk fails."""

from __future__ import annotations

import re
from datetime import datetime

from nnunetv2.training.logging import text_log
from nnunetv2.training.logging.text_log import TextLog, log_entry


def test_entry_has_time_and_a_blank_after_each_argument(tmp_path, capsys):
    TextLog(tmp_path / "log.txt").write("Epoch", 17)
    text = (tmp_path / "log.txt").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}: Epoch 17 \n", text)
    assert capsys.readouterr().out == text[:-2] + "\n"


def test_time_has_six_decimals_even_on_the_full_second():
    entry = log_entry(("Training done.",), datetime(2026, 11, 22, 4, 2, 10))
    assert entry == "2026-11-22 04:02:10.000000: Training done. "


def test_empty_and_multiline_entries_and_entries_without_time(tmp_path, capsys):
    log = TextLog(tmp_path / "log.txt")
    log.write("")
    log.write("first\nsecond", add_timestamp=False)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert re.fullmatch(r"[\d\-]+ [\d:.]+:  ", lines[0])
    assert lines[1:] == ["first", "second "]
    assert capsys.readouterr().out.endswith("first\nsecond\n")


def test_console_can_be_left_out(tmp_path, capsys):
    TextLog(tmp_path / "log.txt").write("quiet", also_print_to_console=False)
    assert capsys.readouterr().out == ""
    assert "quiet" in (tmp_path / "log.txt").read_text()


def test_without_a_path_there_is_only_the_console_and_no_time(capsys):
    TextLog(None).write("rank", 1)
    assert capsys.readouterr().out == "rank 1\n"


def test_characters_beyond_ascii_are_written_in_utf8(tmp_path):
    TextLog(tmp_path / "log.txt").write("Größe 1×2", also_print_to_console=False)
    assert "Größe 1×2" in (tmp_path / "log.txt").read_text(encoding="utf-8")


class FailingDrive:
    """Replaces the pauses between attempts; the folder of the log appears in one of them."""

    def __init__(self, folder, repaired_after):
        self.folder, self.repaired_after, self.pauses = folder, repaired_after, []

    def sleep(self, seconds):
        self.pauses.append(seconds)
        if len(self.pauses) == self.repaired_after:
            self.folder.mkdir()


def test_writing_is_tried_again_after_a_pause(tmp_path, monkeypatch):
    drive = FailingDrive(tmp_path / "drive", repaired_after=2)
    monkeypatch.setattr(text_log.time, "sleep", drive.sleep)
    TextLog(drive.folder / "log.txt").write("at last", also_print_to_console=False)
    assert drive.pauses == [0.5, 0.5]
    assert "at last" in (drive.folder / "log.txt").read_text()


def test_a_lasting_failure_gives_one_warning_and_the_console_line(tmp_path, monkeypatch, capsys, caplog):
    drive = FailingDrive(tmp_path / "drive", repaired_after=100)
    monkeypatch.setattr(text_log.time, "sleep", drive.sleep)
    TextLog(drive.folder / "log.txt").write("Epoch 3")
    assert len(drive.pauses) == 4
    assert caplog.text.count("an entry was not written") == 1
    assert "Epoch 3" in capsys.readouterr().out
