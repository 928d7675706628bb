"""Estimates of the disk that preprocessing takes, against what it took, and what follows from them."""

import pytest

from nnunetv2.errors import CaseFailures, DiskFullError, MemoryLimitError
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprint_dataset, preprocess_dataset
from nnunetv2.preprocessing.preprocessors import dataset_run
from nnunetv2.preprocessing.preprocessors.case_size import bytes_of_largest_case, least_bytes_of_largest_case
from nnunetv2.preprocessing.preprocessors.dataset_run import DataFolder
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.preprocessing.preprocessors.room_for_cases import least_bytes, most_bytes
from nnunetv2.utilities import available_memory, disk_space
from tests.conftest import draw_few_samples


@pytest.fixture
def data(planned_dataset, monkeypatch) -> DataFolder:
    draw_few_samples(monkeypatch)
    extract_fingerprint_dataset(997, num_processes=1)
    return DataFolder.find(997, "2d", "nnUNetPlans")


def preprocess() -> None:
    preprocess_dataset(997, configurations=["2d"], num_processes=1)


def bytes_of_cases(data: DataFolder) -> list[int]:
    from nnunetv2.storage.made_from import sizes_of_case

    return [sum(sizes_of_case(data.folder, case).values()) for case in data.cases]


def upper_bound(data: DataFolder) -> int:
    base = data.folder.rpartition("/")[0]
    return most_bytes(base, data.plans.transpose_forward, data.configuration.spacing, 2, len(data.cases))


def test_what_preprocessing_takes_lies_between_the_bounds(data):
    inputs = [data.inputs(case) for case in data.cases]
    assert least_bytes(data.folder, inputs) == 0
    preprocess()
    taken = sum(bytes_of_cases(data))
    assert 0.5 * taken < least_bytes(data.folder, inputs) <= taken < upper_bound(data)


def test_cases_that_cannot_fit_are_refused_once_some_show_it_and_made_when_there_is_room(data, monkeypatch):
    monkeypatch.setattr(dataset_run, "_FIRST_CASES", 2)
    monkeypatch.setattr(dataset_run, "_LEAST_ROOM", 0)
    for module in (dataset_run, disk_space):
        monkeypatch.setattr(module, "free_bytes", lambda folder: 10_000)
    with pytest.raises(DiskFullError, match=r"what is left \(4 case\(s\), judged .*\) needs at least .* KiB in "):
        preprocess()
    assert [size > 0 for size in bytes_of_cases(data)] == [True] * 2 + [False] * 4
    for module in (dataset_run, disk_space):
        monkeypatch.setattr(module, "free_bytes", lambda folder: 100_000_000)
    preprocess()
    assert all(bytes_of_cases(data))


def test_a_run_with_nothing_left_to_do_needs_no_room(data, monkeypatch):
    preprocess()
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 0)
    monkeypatch.setattr(DefaultPreprocessor, "run_case", lambda *args: pytest.fail("was begun"))
    preprocess()


def test_nothing_is_made_first_where_everything_fits(data, monkeypatch):
    monkeypatch.setattr(dataset_run, "_require_room", lambda data, cases, what: seen.append(len(cases)))
    seen: list[int] = []
    preprocess()
    assert seen == [6]


def test_a_case_that_exceeds_all_memory_is_refused_before_any_is_made(data, monkeypatch):
    base = data.folder.rpartition("/")[0]
    least = least_bytes_of_largest_case(base, 2)
    assert least == 20 * 26 * 23 * 2 * 4 < bytes_of_largest_case(base, 2)
    monkeypatch.setattr(available_memory, "_from_meminfo", lambda path, entry="": [least - 1] if "Mem" in entry else [])
    with pytest.raises(MemoryLimitError, match="the largest case needs at least"):
        preprocess()
    assert not any(bytes_of_cases(data))


def test_no_case_is_begun_on_a_full_disk(data, monkeypatch):
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: 1000)
    monkeypatch.setattr(DefaultPreprocessor, "run_case", lambda *args: pytest.fail("was begun"))
    with pytest.raises(CaseFailures, match="case tiny_000 needs at least 1.0 MiB in .*, where 1000 bytes are free"):
        preprocess()
