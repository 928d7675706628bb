"""Archives from others: what is installed, and what is refused without a trace."""

from __future__ import annotations

import os
import stat
import zipfile

import pytest

from nnunetv2.errors import DiskFullError, FileContentError, MissingFileError, UsageError
from nnunetv2.model_sharing import model_import
from nnunetv2.model_sharing.archive_checks import ArchiveLimits
from nnunetv2.model_sharing.commands import install_from_zip_entry_point
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.records.temporary import temporary_prefix
from nnunetv2.utilities import disk_space
from tests.model_sharing.conftest import DATASET, FLAT, FULLRES, MODEL_FILES, snapshot, write_model, write_zip
from tests.records.test_temporary import ended_process


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def device(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFCHR | 0o666) << 16
    return info


def test_what_was_exported_is_installed_again_byte_for_byte(trained, folders, tmp_path, monkeypatch):
    export_pretrained_model(
        997, tmp_path / "m.zip", ("3d_fullres", "2d"), folds=(0, 1), export_crossval_predictions=True
    )
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv("nnUNet_results", str(elsewhere))
    installed = install_model_from_zip_file(tmp_path / "m.zip")
    assert installed == [str(elsewhere / DATASET / name) for name in (FLAT, FULLRES)]
    original, copy = snapshot(folders["nnUNet_results"]), snapshot(elsewhere)
    assert len(copy) > 25
    assert copy == {name: original[name] for name in copy}
    assert [path.name for path in elsewhere.iterdir()] == [DATASET]


def test_a_second_model_of_the_data_set_is_added_and_the_old_report_kept(trained, folders, tmp_path, monkeypatch):
    for name, configuration in (("first.zip", "2d"), ("second.zip", "3d_fullres")):
        (trained / "inference_information.json").write_text(f'"{name}"')
        export_pretrained_model(997, tmp_path / name, (configuration,), folds=(0,))
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "elsewhere"))
    install_model_from_zip_file(tmp_path / "first.zip")
    install_model_from_zip_file(tmp_path / "second.zip")
    target = tmp_path / "elsewhere" / DATASET
    assert {path.name for path in target.iterdir() if path.is_dir()} == {FLAT, FULLRES}
    assert (target / "inference_information.json").read_text() == '"first.zip"'


def test_an_existing_model_is_refused_and_stays_as_it_was(trained, folders, tmp_path):
    before = snapshot(folders["nnUNet_results"])
    with pytest.raises(UsageError, match=rf"already has {FULLRES}.*--overwrite"):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip"))
    assert snapshot(folders["nnUNet_results"]) == before


def test_on_request_an_existing_model_is_replaced_as_a_whole(trained, folders, tmp_path):
    before = snapshot(trained)
    install_model_from_zip_file(write_zip(tmp_path / "m.zip"), overwrite=True)
    after = snapshot(trained)
    assert {name for name in after if name.startswith(FULLRES)} == {
        name.removeprefix(f"{DATASET}/") for name in MODEL_FILES
    }
    others = {name for name in before if not name.startswith(FULLRES)}
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


def test_a_failure_while_moving_puts_everything_back(trained, folders, tmp_path, monkeypatch):
    second = {name.replace(FULLRES, FLAT): content for name, content in MODEL_FILES.items()}
    before = snapshot(folders["nnUNet_results"])
    rename, calls = model_import.os.rename, []

    def fail_at_the_last(origin, place):
        calls.append(place)
        if len(calls) == 4:  # two models, each moved away and replaced
            raise OSError("disk is gone")
        rename(origin, place)

    monkeypatch.setattr(model_import.os, "rename", fail_at_the_last)
    with pytest.raises(OSError, match="disk is gone"):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip", second), overwrite=True)
    assert snapshot(folders["nnUNet_results"]) == before
    assert [path.name for path in folders["nnUNet_results"].iterdir()] == [DATASET]


HOSTILE = {
    "parent folder": ({f"{DATASET}/../../evil.json": b"x"}, "leaves the folder"),
    "parent at the start": ({"../evil.json": b"x"}, "leaves the folder"),
    "absolute": ({"/tmp/evil.json": b"x"}, "absolute path"),
    "drive": ({"C:/evil.json": b"x"}, "absolute path"),
    "backslash": ({f"{DATASET}\\..\\evil.json": b"x"}, "not portable"),
    "hidden file": ({f"{DATASET}/{FULLRES}/.bashrc": b"x"}, "hidden"),
    "link": ({link(f"{DATASET}/{FULLRES}/fold_0/progress.png"): b"/etc/passwd"}, "is a link"),
    "device": ({device(f"{DATASET}/{FULLRES}/fold_0/progress.png"): b""}, "neither a file nor a folder"),
    "case of a file": ({f"{DATASET}/{FULLRES}/Plans.json": b"{}"}, "same name on some systems"),
    "case of a folder": ({f"{DATASET}/{FULLRES}/FOLD_0/checkpoint_final.pth": b"x"}, "same name on some systems"),
    "foreign top folder": ({"other/file.json": b"{}"}, "at its top there is 'other'"),
    "file at the top": ({"readme.txt": b"x"}, "at its top there is 'readme.txt'"),
    "two data sets": ({"Dataset001_Other/inference_information.json": b"{}"}, "several data sets"),
    "program": ({f"{DATASET}/{FULLRES}/trainer.py": b"x"}, "'.*trainer.py' is no file of a trained model"),
    "pickle": ({f"{DATASET}/{FULLRES}/fold_0/validation/case.pkl": b"x"}, "no file of a trained model"),
    "no checkpoint": ({f"{DATASET}/{FULLRES}/fold_1/progress.png": b"x"}, "fold_1 has no checkpoint"),
    "no fold": ({f"{DATASET}/{FULLRES}/fold_0/checkpoint_final.pth": None}, r"has no fold_\* folder"),
    "no plans": ({f"{DATASET}/{FULLRES}/plans.json": None}, "has no plans.json"),
    "plans that are no JSON": ({f"{DATASET}/{FULLRES}/plans.json": b"{"}, "plans.json in it is no JSON"),
    "no model": (dict.fromkeys(MODEL_FILES) | {f"{DATASET}/inference_information.json": b"{}"}, "no model in it"),
    "nothing": (dict.fromkeys(MODEL_FILES), "it is empty"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_archive_that_is_unsafe_or_no_model_leaves_no_trace(kind, folders, tmp_path):
    entries, message = HOSTILE[kind]
    path = write_zip(tmp_path / "hostile.zip", entries)
    before = snapshot(tmp_path)
    with pytest.raises(FileContentError, match=message) as error:
        install_model_from_zip_file(path)
    assert "hostile.zip was not installed" in str(error.value)
    assert snapshot(tmp_path) == before
    assert not list(folders["nnUNet_results"].iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(folders, tmp_path):
    path = write_zip(tmp_path / "m.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{DATASET}/{FULLRES}/plans.json", b'{"other": 1}')
    with pytest.raises(FileContentError, match="occurs twice"):
        install_model_from_zip_file(path)
    assert not list(folders["nnUNet_results"].iterdir())


SMALL = {
    "compression": (ArchiveLimits(ratio_counts_from=10**6), "factor of 200"),
    "one file": (ArchiveLimits(member_bytes=10**6), r"at most 1,000,000"),
    "all files": (ArchiveLimits(total_bytes=10**6), r"it unpacks to 2,000,0\d\d bytes"),
    "number": (ArchiveLimits(members=3), "has 4 entries"),
}


@pytest.mark.parametrize("kind", SMALL)
def test_a_bomb_is_refused_before_unpacking(kind, folders, tmp_path, monkeypatch):
    limits, message = SMALL[kind]
    monkeypatch.setattr(model_import, "_unpack", lambda *_: pytest.fail("was unpacked"))
    path = write_zip(tmp_path / "m.zip", {f"{DATASET}/{FULLRES}/fold_0/network_architecture.pdf": bytes(2_000_000)})
    with pytest.raises(FileContentError, match=message):
        install_model_from_zip_file(path, limits=limits)


def test_a_bomb_beyond_the_default_limits_is_refused(folders, tmp_path):
    path = write_zip(tmp_path / "m.zip", {f"{DATASET}/{FULLRES}/fold_0/network_architecture.pdf": bytes(70 * 2**20)})
    with pytest.raises(FileContentError, match="network_architecture.pdf' unpacks from"):
        install_model_from_zip_file(path)


def test_a_stated_size_is_not_exceeded(folders, tmp_path):
    path = write_zip(tmp_path / "m.zip", {f"{DATASET}/{FULLRES}/fold_0/progress.png": b"0123456789" * 100})
    content = path.read_bytes()
    assert content.count((1000).to_bytes(4, "little")) == 2
    path.write_bytes(content.replace((1000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(FileContentError, match="progress.png in it is damaged"):
        install_model_from_zip_file(path)
    assert not list(folders["nnUNet_results"].iterdir())


def test_a_flipped_bit_is_noticed_and_nothing_is_installed(folders, tmp_path):
    path = tmp_path / "m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in MODEL_FILES.items():
            archive.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"weights", b"weighty"))
    with pytest.raises(FileContentError, match="checkpoint_final.pth in it is damaged"):
        install_model_from_zip_file(path)
    assert not list(folders["nnUNet_results"].iterdir())


def test_an_encrypted_archive_is_refused(folders, tmp_path):
    path = write_zip(tmp_path / "m.zip")
    content = bytearray(path.read_bytes())
    position = content.index(b"PK\x01\x02")  # the first entry of the central directory; its flags are at 8
    content[position + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(FileContentError, match="is encrypted"):
        install_model_from_zip_file(path)


def test_an_archive_cut_short_and_a_missing_one_are_named(folders, tmp_path):
    path = write_zip(tmp_path / "m.zip")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(FileContentError, match=r"m\.zip \(.* bytes\) is no complete zip file"):
        install_model_from_zip_file(path)
    with pytest.raises(MissingFileError, match="nowhere.zip does not exist"):
        install_model_from_zip_file(tmp_path / "nowhere.zip")


def test_too_little_room_is_noticed_before_unpacking(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_space, "free_bytes", lambda _: 5)
    with pytest.raises(DiskFullError, match="m.zip was not installed: it needs at least .* where 5 bytes are free"):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip"))
    assert not list(folders["nnUNet_results"].iterdir())


def test_another_data_set_of_the_same_number_is_pointed_out(folders, tmp_path, monkeypatch):
    write_model(folders["nnUNet_results"] / "Dataset997_Other" / FULLRES, folds=(0,))
    warnings = []
    monkeypatch.setattr(model_import.logger, "warning", lambda text, *values: warnings.append(text % values))
    install_model_from_zip_file(write_zip(tmp_path / "m.zip"))
    assert "Dataset997_Other" in warnings[0]


def test_a_data_set_folder_linked_to_another_disk_is_filled_there(folders, tmp_path):
    (tmp_path / "disk" / DATASET).mkdir(parents=True)
    (folders["nnUNet_results"] / DATASET).symlink_to(tmp_path / "disk" / DATASET)
    install_model_from_zip_file(write_zip(tmp_path / "m.zip"))
    assert (tmp_path / "disk" / DATASET / FULLRES / "plans.json").exists()
    assert [path.name for path in (tmp_path / "disk").iterdir()] == [DATASET]


def test_the_command_installs_and_reports_refusals_with_status_1(folders, tmp_path, capsys):
    path = str(write_zip(tmp_path / "m.zip"))
    install_from_zip_entry_point([path])
    with pytest.raises(SystemExit) as end:
        install_from_zip_entry_point([path])
    assert end.value.code == 1
    assert "already has" in capsys.readouterr().err
    install_from_zip_entry_point([path, "--overwrite"])


def test_the_results_folder_must_be_known(tmp_path):
    with pytest.raises(RuntimeError, match="nnUNet_results is not defined"):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip"))


def test_a_model_that_a_killed_installation_had_moved_away_is_put_back(folders, tmp_path):
    results = folders["nnUNet_results"]
    write_model(results / DATASET / FULLRES, folds=(0,))
    before = snapshot(results / DATASET)
    abandoned = results / temporary_prefix().replace(str(os.getpid()), ended_process(), 1)
    (abandoned / "new" / DATASET / FULLRES).mkdir(parents=True)
    (abandoned / model_import.REPLACED / DATASET).mkdir(parents=True)
    (results / DATASET / FULLRES).rename(abandoned / model_import.REPLACED / DATASET / FULLRES)
    with pytest.raises(UsageError, match="already has"):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip"))
    assert snapshot(results / DATASET) == before
    install_model_from_zip_file(tmp_path / "m.zip", overwrite=True)
    assert not abandoned.exists()
    assert (results / DATASET / FULLRES / "fold_0" / "checkpoint_final.pth").read_bytes() == b"weights"
