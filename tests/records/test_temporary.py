import os
import subprocess
import sys
import time

from nnunetv2.records.temporary import is_running, remains, remove_remains, temporary_prefix, without_temporary_folders

DAY = 24 * 3600


def ended_process() -> str:
    """Number of a process that has existed and ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return str(process.pid)


def prefix_of(process: str) -> str:
    return temporary_prefix().replace(str(os.getpid()), process, 1)


def test_what_ended_processes_left_is_removed_and_what_running_ones_write_is_kept(tmp_path):
    dead = prefix_of(ended_process())
    (tmp_path / f"{dead}a.nii.gz").write_text("x")
    (tmp_path / f"{dead}folder").mkdir()
    (tmp_path / f"{dead}folder" / "file").write_text("x")
    kept = [f"{temporary_prefix()}b.nii.gz", f"{prefix_of('1')}c.nii.gz", "a.nii.gz", ".hidden", ".tmp_of_somebody"]
    for name in kept:
        (tmp_path / name).write_text("x")
    assert len(list(remains(tmp_path))) == 2
    remove_remains(tmp_path, tmp_path / "nowhere")
    assert sorted(os.listdir(tmp_path)) == sorted(kept)


def test_files_of_other_machines_are_removed_after_a_day_without_a_change(tmp_path):
    young, old, folder = (tmp_path / f".tmp1-0123abcd_{name}" for name in ("young", "old", "folder"))
    for path in (young, old):
        path.write_text("x")
    folder.mkdir()
    (folder / "in_work").write_text("x")
    for path in (old, folder):
        os.utime(path, (time.time() - 1.1 * DAY,) * 2)
    remove_remains(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([young.name, folder.name])
    os.utime(folder / "in_work", (time.time() - 1.1 * DAY,) * 2)
    os.utime(folder, (time.time() - 1.1 * DAY,) * 2)
    remove_remains(tmp_path)
    assert os.listdir(tmp_path) == [young.name]


def test_a_killed_process_that_nobody_collected_does_not_run():
    process = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(process.pid)
    process.kill()
    end = time.monotonic() + 10
    while is_running(process.pid):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.communicate()


def test_messages_name_the_place_where_a_file_is_going_to_be(tmp_path):
    assert without_temporary_folders(tmp_path / f"{temporary_prefix()}x7" / "a.png") == tmp_path / "a.png"
