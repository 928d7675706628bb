"""Zip files to hand in."""

import shutil
import subprocess
import zipfile

import pytest

from nnunetv2.competitions.submission_zip import holds_exactly, write_flat_zip
from nnunetv2.errors import DatasetError


@pytest.fixture
def files(tmp_path):
    made = []
    for name, content in (("b.nii.gz", b"second"), ("a.nii.gz", b"first" * 1000)):
        (tmp_path / "in").mkdir(exist_ok=True)
        made.append(tmp_path / "in" / name)
        made[-1].write_bytes(content)
    return made


def test_files_lie_flat_and_sorted_with_their_content(tmp_path, files):
    write_flat_zip(tmp_path / "out.zip", files)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["a.nii.gz", "b.nii.gz"]
        assert archive.read("a.nii.gz") == b"first" * 1000
    assert holds_exactly(tmp_path / "out.zip", files)


def test_the_bytes_depend_on_names_and_content_alone(tmp_path, files):
    write_flat_zip(tmp_path / "one.zip", files)
    copies = [shutil.copy(file, tmp_path / file.name) for file in files]
    write_flat_zip(tmp_path / "two.zip", copies[::-1])
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs the program zip")
def test_the_content_is_that_of_zip_j(tmp_path, files):
    write_flat_zip(tmp_path / "ours.zip", files)
    subprocess.run(["zip", "-q", "-j", str(tmp_path / "theirs.zip"), *map(str, files)], check=True)
    ours, theirs = (zipfile.ZipFile(tmp_path / f"{name}.zip") for name in ("ours", "theirs"))
    assert {e.filename: e.CRC for e in ours.infolist()} == {e.filename: e.CRC for e in theirs.infolist()}


def test_other_content_fewer_files_and_damage_are_noticed(tmp_path, files):
    target = tmp_path / "out.zip"
    assert not holds_exactly(target, files)
    write_flat_zip(target, files)
    assert not holds_exactly(target, files[:1])
    files[0].write_bytes(b"changed")
    assert not holds_exactly(target, files)
    target.write_bytes(target.read_bytes()[:-10])
    assert not holds_exactly(target, files)


def test_nothing_and_equal_names_are_refused(tmp_path, files):
    other = tmp_path / "other" / files[0].name
    other.parent.mkdir()
    other.write_text("x")
    for wrong in ([], [files[0], other]):
        with pytest.raises(DatasetError):
            write_flat_zip(tmp_path / "out.zip", wrong)
    assert not (tmp_path / "out.zip").exists()
