import stat

import pytest

from nnunetv2.errors import UsageError
from nnunetv2.records.folders import atomic_folder, private_folder, written_aside


def test_a_private_folder_is_for_this_user_only_and_disappears(tmp_path):
    with private_folder(tmp_path / "new" / "parent") as folder:
        (folder / "file").write_text("x")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list((tmp_path / "new" / "parent").iterdir())


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "final") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "final").exists()
    assert (tmp_path / "final" / "file").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["final"]


def test_nothing_of_a_failed_folder_remains(tmp_path):
    with pytest.raises(KeyError), atomic_folder(tmp_path / "final") as folder:
        (folder / "file").write_text("x")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_left_alone(tmp_path):
    (tmp_path / "final").mkdir()
    with pytest.raises(UsageError, match="final exists already"), atomic_folder(tmp_path / "final"):
        pytest.fail("was entered")
    with pytest.raises(UsageError), atomic_folder(tmp_path / "other"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "precious").write_text("x")
    assert (tmp_path / "other" / "precious").read_text() == "x"


def test_a_file_written_aside_comes_after_its_companions(tmp_path):
    with written_aside(tmp_path / "a.tif") as temporary:
        temporary.write_text("image")
        temporary.with_name("a.json").write_text("spacing")
        assert not (tmp_path / "a.tif").exists()
    assert (tmp_path / "a.tif").read_text() == "image"
    assert (tmp_path / "a.json").stat().st_ctime_ns <= (tmp_path / "a.tif").stat().st_ctime_ns
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.tif"]


def test_nothing_of_a_failed_file_written_aside_remains(tmp_path):
    with pytest.raises(KeyError), written_aside(tmp_path / "a.tif") as temporary:
        temporary.write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())
