"""The file that lists the cases a stage could not do."""

from __future__ import annotations

import json
import os

import pytest

from nnunetv2.errors import CaseError, CaseFailures
from nnunetv2.records import failed_cases
from nnunetv2.records.failed_cases import failed_cases_listed, failed_cases_name


def fail(folder, stage="Evaluation", part=None, cases=("a",)):
    with pytest.raises(CaseFailures) as caught, failed_cases_listed(folder, stage, part):
        raise CaseFailures(stage, {case: ValueError("odd") for case in cases}, 5, {"z": 1})
    return caught.value


def test_failures_are_listed_with_reason_and_the_error_names_the_file(tmp_path):
    error = fail(tmp_path)
    path = tmp_path / "failed_cases.json"
    assert json.loads(path.read_text()) == {
        "Evaluation": {
            "total": 5,
            "failed": {"a": {"error": "ValueError", "message": "odd", "traceback": "ValueError: odd\n"}},
        }
    }
    assert str(error).endswith(f"listed in {path}")
    assert (error.results, error.total) == ({"z": 1}, 5)


def test_the_next_run_of_a_stage_replaces_its_list_and_removes_it_in_the_end(tmp_path):
    fail(tmp_path, cases=("a", "b"))
    fail(tmp_path, cases=("b",))
    fail(tmp_path, stage="Postprocessing")
    listed = json.loads((tmp_path / "failed_cases.json").read_text())
    assert {stage: list(entry["failed"]) for stage, entry in listed.items()} == {
        "Evaluation": ["b"],
        "Postprocessing": ["a"],
    }
    with failed_cases_listed(tmp_path, "Evaluation"):
        pass
    assert list(json.loads((tmp_path / "failed_cases.json").read_text())) == ["Postprocessing"]
    with failed_cases_listed(tmp_path, "Postprocessing"):
        pass
    assert not os.listdir(tmp_path)


def test_parts_of_a_batch_have_files_of_their_own(tmp_path):
    assert failed_cases_name((0, 1)) == "failed_cases.json"
    fail(tmp_path, part=(1, 4))
    assert os.listdir(tmp_path) == ["failed_cases_part_1_of_4.json"]


def test_the_only_case_is_listed_too(tmp_path):
    with pytest.raises(CaseError), failed_cases_listed(tmp_path, "Prediction"):
        raise CaseError("a", "no")
    assert list(json.loads((tmp_path / "failed_cases.json").read_text())["Prediction"]["failed"]) == ["a"]


def test_a_list_that_cannot_be_written_hides_nothing(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(failed_cases, "write_json", full)
    assert fail(tmp_path).listed_in is None
    assert not os.listdir(tmp_path)


def test_a_damaged_list_is_replaced(tmp_path):
    (tmp_path / "failed_cases.json").write_text("{")
    fail(tmp_path)
    assert list(json.loads((tmp_path / "failed_cases.json").read_text())) == ["Evaluation"]
    with failed_cases_listed(None, "Evaluation"):
        pass
