"""Predictions that cannot fit are refused before they start; those that might are not."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nnunetv2.ensembling.probability_files import write_probabilities
from nnunetv2.errors import DiskFullError, MemoryLimitError
from nnunetv2.inference.limits.room_for_outputs import require_room_for, require_room_for_probabilities
from nnunetv2.utilities import available_memory, disk_space, executors
from tests.inference.conftest import Thresholds, make_predictor

VOXELS, HEADS = 9 * 14 * 11, 3
WHOLE = 4 * HEADS * VOXELS


@pytest.fixture
def free(monkeypatch):
    """Setting the bytes that seem to be free."""

    def set_to(count: int) -> None:
        import nnunetv2.inference.limits.room_for_outputs as room

        for module in (room, disk_space):
            monkeypatch.setattr(module, "free_bytes", lambda folder: count)

    return set_to


def require(folder, cases: int = 3, scratch: bool = True) -> None:
    names = [str(folder / f"case_{i}") for i in range(cases)]
    require_room_for_probabilities(names, [VOXELS] * cases, HEADS, ".npz", scratch)


def test_the_largest_case_has_to_fit_uncompressed(tmp_path, free):
    free(WHOLE)
    require(tmp_path)
    free(WHOLE - 1)
    with pytest.raises(DiskFullError, match=r"3 case\(s\) with probabilities of 3 classes .* --probabilities blosc2"):
        require(tmp_path)
    require(tmp_path, scratch=False)


def test_all_cases_have_to_fit_as_well_compressed_as_the_best_that_is_there(tmp_path, free):
    rng = np.random.RandomState(0)
    for index, noise in enumerate((1.0, 0.1)):
        values = rng.uniform(size=(HEADS, 9, 14, 11)) < noise
        write_probabilities(values.astype(np.float32), str(tmp_path / f"earlier_{index}"))
    best = min(path.stat().st_size for path in tmp_path.glob("*.npz"))
    assert best < WHOLE / 10
    free(100 * best)
    require(tmp_path, cases=100)
    free(100 * best - 1)
    with pytest.raises(DiskFullError, match="100 case"):
        require(tmp_path, cases=100)


def test_a_prediction_is_refused_before_its_first_case(image_folder, tmp_path, free):
    network = Thresholds()
    free(WHOLE - 1)
    with pytest.raises(DiskFullError):
        make_predictor(network).predict_from_files(str(image_folder.folder), str(tmp_path / "out"), True)
    assert not network.calls and not (tmp_path / "out").exists()
    make_predictor(network).predict_from_files(str(image_folder.folder), str(tmp_path / "out"), False)
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_an_image_that_exceeds_all_memory_is_refused_unless_it_is_read_in_parts(image_folder, tmp_path, monkeypatch):
    few = [4 * VOXELS - 1]
    monkeypatch.setattr(available_memory, "_from_meminfo", lambda path, entry="": few if entry == "MemTotal" else [])
    with pytest.raises(MemoryLimitError, match=r"case_.*_0000\.nii\.gz as an array of float32 .* --max-memory"):
        make_predictor(Thresholds()).predict_from_files(str(image_folder.folder), str(tmp_path / "out"))
    make_predictor(Thresholds(), max_memory=64.0).predict_from_files(str(image_folder.folder), str(tmp_path / "out"))
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 3


def test_the_memory_of_this_machine_does_not_count_for_workers_on_others(image_folder, monkeypatch):
    few = [1]
    monkeypatch.setattr(available_memory, "_from_meminfo", lambda path, entry="": few if entry == "MemTotal" else [])
    cases = [[str(path)] for path in sorted(image_folder.folder.iterdir())]
    predictor = make_predictor(Thresholds())
    with pytest.raises(MemoryLimitError):
        require_room_for(predictor, cases, None, False)
    token = executors._chosen.set(ThreadPoolExecutor(1))
    try:
        require_room_for(predictor, cases, None, False)
    finally:
        executors._chosen.reset(token)
