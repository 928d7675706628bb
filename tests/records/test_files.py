import errno
import os
import pickle
import resource

import numpy as np
import pytest

from nnunetv2.errors import DiskFullError, FileContentError, MissingFileError
from nnunetv2.records import files


def test_json_survives_a_round_trip_and_keeps_nan(tmp_path):
    files.write_json(tmp_path / "sub" / "a.json", {"b": 1, "a": [float("nan")]})
    text = (tmp_path / "sub" / "a.json").read_text()
    assert text.index('"a"') < text.index('"b"')
    assert np.isnan(files.read_json(tmp_path / "sub" / "a.json")["a"][0])


def test_json_errors_name_the_file_and_the_place(tmp_path):
    (tmp_path / "bad.json").write_text('{"a": 1,\n "b": }')
    with pytest.raises(FileContentError, match=r"bad\.json is not valid JSON.*line 2"):
        files.read_json(tmp_path / "bad.json")
    with pytest.raises(MissingFileError, match=r"none\.json does not exist"):
        files.read_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' + "9" * 10_000 + "}", "\x00", "\ufeff{}"], ids=lambda t: repr(t[:6])
)
def test_json_beyond_reading_is_an_error_with_its_path(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(FileContentError, match=r"bad\.json"):
        files.read_json(tmp_path / "bad.json")


def test_a_key_that_appears_twice_is_warned_about_and_the_last_counts(tmp_path, caplog):
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "c": 2, "b": 3}, "d": {"b": 4}}')
    assert files.read_json(tmp_path / "a.json") == {"a": {"b": 3, "c": 2}, "d": {"b": 4}}
    (record,) = caplog.records
    assert "a.json: b appears twice in one object" in record.getMessage()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "a.nii.gz"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), files.atomic_path(target) as temporary:
        assert temporary.name.endswith("a.nii.gz")
        temporary.write_text("half")
        _ = 1 / 0
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.nii.gz"]


def test_plain_pickles_are_read(tmp_path):
    content = {"spacing": [1.0, np.float64(2)], "box": np.arange(6).reshape(2, 3), "n": np.int64(3), "s": {1, 2}}
    files.write_pickle(tmp_path / "a.pkl", content)
    read = files.read_pickle(tmp_path / "a.pkl")
    assert read["spacing"] == [1.0, 2.0] and read["s"] == {1, 2}
    np.testing.assert_array_equal(read["box"], content["box"])


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("hostile_was_here",)


def test_a_hostile_pickle_is_refused_and_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(FileContentError, match="mkdir"):
        files.read_pickle(tmp_path / "bad.pkl")
    assert not (tmp_path / "hostile_was_here").exists()


@pytest.mark.parametrize("keep", [0, 1, 10, 60])
def test_a_truncated_pickle_is_an_error_with_its_path(tmp_path, keep):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"box": np.arange(50)})[:keep])
    with pytest.raises(FileContentError, match=r"a\.pkl"):
        files.read_pickle(tmp_path / "a.pkl")


def test_copy_if_newer_copies_only_what_is_missing_or_old(tmp_path):
    source, target = tmp_path / "s", tmp_path / "t"
    source.write_text("1")
    source.chmod(0o444)
    assert files.copy_if_newer(source, target)
    assert not files.copy_if_newer(source, target)
    os.utime(target, (1, 1))
    assert files.copy_if_newer(source, target)
    assert os.access(target, os.W_OK)


@pytest.fixture
def no_file_beyond():
    """Calling it with a number of bytes limits the size of files until the test ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_without_room_is_one_error_with_path_and_figures_and_leaves_nothing(tmp_path, no_file_beyond):
    no_file_beyond(10_000)
    message = r"a\.bin was not written.*9\.8 KiB of it were written.*are free in .*Make room"
    with pytest.raises(DiskFullError, match=message), files.atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(bytes(20_000))
    assert not list(tmp_path.iterdir())


def test_a_library_that_hides_the_reason_is_seen_through(tmp_path, no_file_beyond):
    no_file_beyond(10_000)
    with pytest.raises(DiskFullError) as caught, files.atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(bytes(9_000))
        raise RuntimeError("Error while setting the slice")
    assert caught.value.errno == errno.ENOSPC
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert pickle.loads(pickle.dumps(caught.value)).errno == errno.ENOSPC


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="something else"), files.atomic_path(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"1")
        raise RuntimeError("something else")
    assert not list(tmp_path.iterdir())
