"""Checkpoints are looked through without importing what they name; made-up sizes are noticed before torch sees them."""

from __future__ import annotations

import sys
import zipfile

import pytest
import torch

from nnunetv2.training import restricted_loading
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from nnunetv2.training.checkpoint_archive import UnsafeArchive, check_archive, is_archive, survey
from tests.faults import hostile_files as make
from tests.shared_data import GOLDEN, needs_shared
from tests.training.test_checkpoint import MODELS, same_tensors, small_checkpoint


def test_names_and_storages_are_listed_and_nothing_is_imported(tmp_path):
    path = tmp_path / "c.pth"
    make.checkpoint_with_pickle(path, make.named_call("antigravity:fly", "x"))
    assert survey(str(path)).names == {"antigravity.fly"}
    assert "antigravity" not in sys.modules
    torch.save({"a": torch.zeros(3), "b": torch.zeros(2, dtype=torch.int64)}, path)
    assert survey(str(path)).storages == [("0", "torch.FloatStorage", 3), ("1", "torch.LongStorage", 2)]


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.bfloat16, torch.float16, torch.int32, torch.int16, torch.uint8, torch.bool, torch.complex64],
)
def test_tensors_of_every_type_fit_their_data(tmp_path, dtype):
    write_checkpoint(tmp_path / "c.pth", {"w": torch.zeros(7).to(dtype), "view": torch.zeros(9, 9)[3:, 2:5]})
    check_archive(str(tmp_path / "c.pth"))
    assert read_checkpoint(tmp_path / "c.pth")["w"].dtype == dtype


def test_each_kind_of_made_up_archive_is_named(tmp_path):
    path = tmp_path / "c.pth"
    for write, reason in (
        (make.checkpoint_with_made_up_size, r"50,331,648 elements \(torch.FloatStorage\), but has 4 bytes"),
        (make.checkpoint_that_unpacks_to_much, r"'c/\S+' is compressed and unpacks to [0-9,]+ bytes"),
        (lambda path: make.checkpoint_with_two_pickles(path, tmp_path / "x"), "occurs twice"),
    ):
        write(path)
        with pytest.raises(UnsafeArchive, match=reason):
            check_archive(str(path))


def test_a_tensor_without_data_is_noticed(tmp_path):
    torch.save({"a": torch.zeros(3)}, tmp_path / "c.pth")
    kept = {name: data for name, data in make.members(tmp_path / "c.pth").items() if not name.endswith("data/0")}
    make.write_members(tmp_path / "c.pth", kept)
    with pytest.raises(UnsafeArchive, match="no data"):
        check_archive(str(tmp_path / "c.pth"))


def test_members_that_share_their_bytes_are_noticed(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as archive:
        archive.writestr("a/one", bytes(2000))
        info = archive.infolist()[0]
        for number in range(50):
            copy = zipfile.ZipInfo(f"a/{number:03d}")
            copy.file_size, copy.compress_size, copy.CRC = info.file_size, info.compress_size, info.CRC
            copy.header_offset = info.header_offset
            archive.filelist.append(copy)
            archive.NameToInfo[copy.filename] = copy
    with pytest.raises(UnsafeArchive, match="overlap"):
        check_archive(str(tmp_path / "c.pth"))


def test_only_what_begins_as_a_zip_file_is_one(tmp_path):
    make.checkpoint_behind_a_tar(tmp_path / "c.pth", tmp_path / "executed")
    assert zipfile.is_zipfile(tmp_path / "c.pth")
    assert not is_archive(str(tmp_path / "c.pth"))


def test_torch_before_2_6_is_not_asked(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "c.pth", small_checkpoint())
    expected = read_checkpoint(tmp_path / "c.pth")
    monkeypatch.setattr(restricted_loading, "_torch_version", lambda: (2, 5))
    monkeypatch.setattr(restricted_loading.torch.serialization, "safe_globals", None)
    assert same_tensors(read_checkpoint(tmp_path / "c.pth"), expected)
    make.checkpoint_behind_a_tar(tmp_path / "d.pth", tmp_path / "executed")
    with pytest.raises(Exception, match=r"d\.pth was not loaded: something else stands before the archive"):
        read_checkpoint(tmp_path / "d.pth")
    assert not (tmp_path / "executed").exists()


@needs_shared
@pytest.mark.parametrize("model", MODELS)
def test_checkpoints_of_nnunet_pass(model):
    path = str(GOLDEN / "models" / model / "checkpoint_final.pth")
    check_archive(path)
    assert restricted_loading.foreign_globals(path) == []
    assert len(survey(path).storages) > 20
