"""A fingerprint that is extended has the bytes of a fresh one, and cases that are kept are not read again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nnunetv2.experiment_planning.dataset_fingerprint import fingerprint_extractor, measured_cases
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.records.layout import FINGERPRINT_JSON
from tests.conftest import draw_few_samples, write_tiny_dataset

NAME = "Dataset997_Tiny"


@pytest.fixture
def dataset(folders, monkeypatch) -> Path:
    """Raw folder with four cases of two channels; the samples depend on the number of cases."""
    draw_few_samples(monkeypatch)
    return write_tiny_dataset(folders["nnUNet_raw"], NAME, cases=4)


@pytest.fixture
def read_cases(monkeypatch) -> list[str]:
    """Label files of the cases that are read."""
    read: list[str] = []
    original = fingerprint_extractor._read_cropped

    def recording(images, label, reader):
        read.append(Path(label).name.split(".")[0])
        return original(images, label, reader)

    monkeypatch.setattr(fingerprint_extractor, "_read_cropped", recording)
    return read


def labels_of(raw: Path) -> list[Path]:
    return sorted((raw / "labelsTr").iterdir())


def case_of(label: Path) -> str:
    return label.name.split(".")[0]


def move_case(raw: Path, case: str, target: Path) -> None:
    """Move one case to another raw folder."""
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True, exist_ok=True)
        for file in (raw / folder).glob(f"{case}*"):
            shutil.move(file, target / folder / file.name)
    for root in (raw, target):
        if (root / "dataset.json").exists():
            description = json.loads((root / "dataset.json").read_text())
            description["numTraining"] = len(labels_of(root))
            (root / "dataset.json").write_text(json.dumps(description))


def fingerprint(folders, overwrite: bool = False) -> bytes:
    DatasetFingerprintExtractor(NAME, 1).run(overwrite_existing=overwrite)
    return (folders["nnUNet_preprocessed"] / NAME / FINGERPRINT_JSON).read_bytes()


def test_a_case_that_is_added_is_read_alone_and_the_bytes_are_those_of_a_fresh_fingerprint(
    folders, dataset, tmp_path, read_cases
):
    added = case_of(labels_of(dataset)[1])
    move_case(dataset, added, tmp_path / "aside")
    small = fingerprint(folders)
    move_case(tmp_path / "aside", added, dataset)
    read_cases.clear()
    extended = fingerprint(folders)
    assert read_cases == [added]
    assert extended != small
    assert extended == fingerprint(folders, overwrite=True)


def test_a_case_that_is_gone_leaves_the_fingerprint(folders, dataset, tmp_path, read_cases):
    fingerprint(folders)
    move_case(dataset, case_of(labels_of(dataset)[0]), tmp_path / "aside")
    read_cases.clear()
    reduced = fingerprint(folders)
    assert read_cases == []
    assert reduced == fingerprint(folders, overwrite=True)


def test_a_case_that_changed_is_read_again(folders, dataset, read_cases):
    fingerprint(folders)
    first, second = labels_of(dataset)[:2]
    shutil.copyfile(second, first)
    read_cases.clear()
    changed = fingerprint(folders)
    assert read_cases == [case_of(first)]
    assert changed == fingerprint(folders, overwrite=True)


def test_nothing_is_read_when_nothing_changed_and_everything_when_asked_for(folders, dataset, read_cases):
    fingerprint(folders)
    read_cases.clear()
    fingerprint(folders)
    assert read_cases == []
    fingerprint(folders, overwrite=True)
    assert len(read_cases) == len(labels_of(dataset))


def test_after_a_kill_before_the_fingerprint_was_written_it_is_completed(
    folders, dataset, tmp_path, monkeypatch, read_cases
):
    added = case_of(labels_of(dataset)[1])
    move_case(dataset, added, tmp_path / "aside")
    fingerprint(folders)
    move_case(tmp_path / "aside", added, dataset)
    with monkeypatch.context() as patch:
        patch.setattr(fingerprint_extractor, "write_json", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fingerprint(folders)
    read_cases.clear()
    completed = fingerprint(folders)
    assert read_cases == []
    assert completed == fingerprint(folders, overwrite=True)


def test_a_damaged_file_is_made_again(folders, dataset, read_cases):
    first = fingerprint(folders)
    kept = folders["nnUNet_preprocessed"] / NAME / measured_cases.FOLDER / (case_of(labels_of(dataset)[0]) + ".npz")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kept.write_bytes(content)
    (folders["nnUNet_preprocessed"] / NAME / FINGERPRINT_JSON).unlink()
    read_cases.clear()
    assert fingerprint(folders) == first
    assert read_cases == [case_of(labels_of(dataset)[0])]


def test_cases_with_very_many_values_are_read_again(folders, dataset, tmp_path, monkeypatch, read_cases):
    monkeypatch.setattr(measured_cases, "MOST_VALUES", 1)
    first = fingerprint(folders)
    read_cases.clear()
    assert fingerprint(folders) == first
    assert read_cases == []
    (folders["nnUNet_preprocessed"] / NAME / FINGERPRINT_JSON).unlink()
    assert fingerprint(folders) == first
    assert len(read_cases) == len(labels_of(dataset))


def test_a_fingerprint_made_elsewhere_is_taken_as_it_is(folders, dataset, read_cases):
    target = folders["nnUNet_preprocessed"] / NAME
    target.mkdir()
    (target / FINGERPRINT_JSON).write_text('{"shapes_after_crop": []}')
    assert fingerprint(folders) == b'{"shapes_after_crop": []}'
    assert read_cases == []
