"""Preprocessed real cases against what the reference made of them."""

import importlib.util
from pathlib import Path

import pytest

from nnunetv2.records.files import read_json
from tests.shared_data import GOLDEN, SHARED, needs_shared

pytestmark = needs_shared

# The benchmark prints what is asserted here; one implementation serves both.
_spec = importlib.util.spec_from_file_location(
    "preprocessed_parity", Path(__file__).resolve().parents[2] / "benchmarks" / "preprocessed_parity.py"
)
parity = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(parity)

STORED = [
    pytest.param(path.parent, path.stem, id=f"{path.parents[2].name[:10]}-{path.parent.name}-{path.stem}")
    for path in sorted(GOLDEN.glob("Dataset*/preprocessed/*/*.npz"))
]
FOLDERS = [
    pytest.param(path.parent, id=f"{path.parents[2].name[:10]}-{path.parent.name}")
    for path in sorted(GOLDEN.glob("Dataset*/preprocessed/*/summary.json"))
]


@pytest.mark.parametrize(("folder", "case"), STORED)
def test_a_stored_case_is_reproduced(folder, case):
    # The reference sums means and deviations in float32, which explains up to 9e-6; splines agree to the last bit.
    data, seg, properties = parity.preprocess(SHARED, folder, case)
    error, wrong_labels, different = parity.compare_case(folder, case, data, seg, properties)
    assert error < 2e-5
    assert wrong_labels == 0
    assert different == []


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_statistics_of_every_case_are_reproduced(folder):
    for case, expected in read_json(folder / "summary.json").items():
        data, seg, _ = parity.preprocess(SHARED, folder, case)
        error, different = parity.compare_summary(expected, data, seg)
        assert error < 2e-5, case
        assert different == [], case
