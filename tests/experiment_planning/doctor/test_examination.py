"""The report: complete, in a fixed order, the same from worker processes, and small whatever the number of cases."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.experiment_planning.doctor import resources
from nnunetv2.experiment_planning.doctor.commands import doctor_entry_point
from nnunetv2.experiment_planning.doctor.examination import examine
from tests.experiment_planning.doctor.broken_datasets import (
    change,
    describe,
    image,
    label,
    one_voxel,
    sides,
    write_sound_dataset,
)


@pytest.fixture
def dataset(tmp_path) -> Path:
    return write_sound_dataset(tmp_path)


def test_facts_are_those_of_the_files(dataset):
    report = examine(dataset)
    assert report.number_of_cases == len(report.examined) == 4
    assert report.orientations == {"LPS": 4}
    assert report.cases_with_label() == {0: 4, 1: 4, 2: 4}
    assert report.geometry()["shape"]["median"] == [6, 9, 7]
    assert report.geometry()["spacing"]["largest"] == [2.5, 1.0, 1.25]
    needed = report.resources
    assert needed.preprocessed_bytes == 4 * 6 * 9 * 7 * (2 * 4 + 2)
    assert needed.raw_bytes == sum(p.stat().st_size for d in ("imagesTr", "labelsTr") for p in (dataset / d).iterdir())
    assert needed.memory_bytes >= 6 * 9 * 7 * 2 * 4 * 3


def test_many_findings_come_all_at_once_in_a_fixed_order(dataset):
    describe(dataset, numTraining=9)
    change(image(dataset, 2, 1), one_voxel(np.nan))
    change(label(dataset, 1), one_voxel(7))
    change(label(dataset, 0), np.zeros_like)
    findings = examine(dataset).findings
    assert [(f.severity, f.case, f.key) for f in findings] == [
        ("error", "", "numTraining"),
        ("error", "sound_001", "label values"),
        ("error", "sound_002", "voxels"),
        ("warning", "sound_000", "label values"),
    ]
    assert examine(dataset).findings == findings


@pytest.mark.slow
def test_worker_processes_find_the_same(dataset):
    change(label(dataset, 1), one_voxel(7))
    alone, together = examine(dataset, 1), examine(dataset, 2)
    assert together.findings == alone.findings
    assert [case.channels for case in together.examined] == [case.channels for case in alone.examined]


def test_json_has_every_finding_with_its_parts(dataset, capsys):
    change(label(dataset, 1), one_voxel(7))
    with pytest.raises(SystemExit) as end:
        doctor_entry_point([str(dataset), "--json", "-np", "1"])
    assert end.value.code == 1
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == 1 and report["cases"] == 4
    (finding,) = report["findings"]
    assert finding == {
        "severity": "error",
        "kind": "unknown label values",
        "case": "sound_001",
        "file": str(label(dataset, 1)),
        "key": "label values",
        "value": "7 (1 voxels)",
        "reason": "not in dataset.json, which knows 0, 1, 2",
        "remedy": "correct the label map, or labels in dataset.json",
    }


def test_a_sample_looks_into_few_cases_and_says_so(dataset, capsys):
    for case in (1, 2):
        change(label(dataset, case), one_voxel(7))
    doctor_entry_point([str(dataset), "--sample", "2", "-np", "1"])
    output = capsys.readouterr().out
    assert "4 training cases, 2 of them examined (a sample; what follows is estimated from it)" in output
    report = examine(dataset, sample=2)
    assert [case.case for case in report.examined] == ["sound_000", "sound_003"]
    assert report.resources.preprocessed_bytes == examine(dataset).resources.preprocessed_bytes


def test_long_lists_of_one_kind_are_cut(dataset, capsys):
    describe(dataset, numTraining=16)
    for case in range(4, 16):
        for channel in range(2):
            shutil.copy(image(dataset, case % 4, channel), image(dataset, case, channel))
        shutil.copy(label(dataset, case % 4), label(dataset, case))
    doctor_entry_point([str(dataset), "-np", "1"])
    output = capsys.readouterr().out
    assert '... and 2 more of the kind "duplicates"; --json lists all' in output
    assert "12 warnings" in output


def test_trainers_that_do_not_mirror_are_fine_with_left_and_right(dataset):
    sides(dataset)
    kinds = {finding.kind for finding in examine(dataset).findings}
    assert kinds == {"left and right labels with mirroring"}
    assert not examine(dataset, trainer="nnUNetTrainerNoMirroring").findings
    assert not examine(dataset, trainer="nnUNetTrainer_onlyMirror01").findings


@pytest.mark.parametrize(
    ("first", "second"), [("kidney_L", "kidney_R"), ("LeftLung", "RightLung"), ("lung left", "lung right")]
)
def test_sides_are_recognised_in_many_spellings(dataset, first, second):
    describe(dataset, labels={"background": 0, first: 1, second: 2})
    (finding,) = examine(dataset).findings
    assert finding.key == f"labels.{first}"


def test_words_that_only_contain_left_are_no_sides(dataset):
    describe(dataset, labels={"background": 0, "cleft": 1, "cright": 2})
    assert not examine(dataset).findings


def test_too_little_disk_and_memory_are_warnings(dataset, monkeypatch):
    monkeypatch.setattr(resources, "free_bytes", lambda place: 1)
    monkeypatch.setattr(resources.os, "sysconf", lambda name: 2)
    disk, memory = examine(dataset).findings
    assert (disk.key, disk.value) == ("free disk space", "1 bytes")
    assert "needs up to 14.8 KiB" in disk.reason
    assert (memory.key, memory.value) == ("memory", "4 bytes")
    assert "needs about" in memory.reason


def test_a_worker_that_dies_is_an_error_of_its_case(dataset, monkeypatch):
    from nnunetv2.errors import CaseFailures, WorkerError
    from nnunetv2.experiment_planning.doctor import examination

    def one_dies(function, cases, workers, what):
        results = {case: function(*arguments) for case, arguments in cases if case != "sound_001"}
        raise CaseFailures(what, {"sound_001": WorkerError("killed")}, len(cases), results)

    monkeypatch.setattr(examination, "map_cases", one_dies)
    (finding,) = examine(dataset).findings
    assert finding.is_error and finding.case == "sound_001" and "killed" in finding.reason


def test_grey_pictures_stored_as_colours_are_fine(tmp_path):
    from PIL import Image

    folder = tmp_path / "Dataset001_Grey"
    for sub in ("imagesTr", "labelsTr"):
        (folder / sub).mkdir(parents=True)
    rng = np.random.RandomState(0)
    for case in "abc":
        grey = rng.randint(0, 255, (8, 6, 1)).astype(np.uint8)
        Image.fromarray(np.repeat(grey, 3, axis=2)).save(folder / "imagesTr" / f"{case}_0000.png")
        Image.fromarray(rng.randint(0, 2, (8, 6)).astype(np.uint8)).save(folder / "labelsTr" / f"{case}.png")
    names, labels = {"0": "R", "1": "G", "2": "B"}, {"background": 0, "spots": 1}
    description = {"channel_names": names, "labels": labels, "numTraining": 3, "file_ending": ".png"}
    (folder / "dataset.json").write_text(json.dumps(description))
    report = examine(folder)
    assert not report.findings and report.orientations == {}
