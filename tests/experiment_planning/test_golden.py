"""Fingerprints and plans of the four real data sets against upstream's, key by key, in order and layout."""

import json
import shutil

import pytest

from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
    nnUNetPlannerResEncM,
    nnUNetPlannerResEncXL,
)
from tests.shared_data import DATA, GOLDEN, needs_shared

pytestmark = needs_shared

SARCOMA_CT = "Dataset111_SarcomaCT"
OTHERS = ["Dataset004_Hippocampus", "Dataset112_SarcomaT1CTPET", "Dataset113_Nuclei2D"]
PLANNERS = (ExperimentPlanner, nnUNetPlannerResEncM, nnUNetPlannerResEncL, nnUNetPlannerResEncXL)


def assert_same(got, expected, where=""):
    """Equal keys in equal order, equal types; floats up to 1e-9 relative, everything else exactly."""
    assert type(got) is type(expected), where
    if isinstance(expected, dict):
        assert list(got) == list(expected), where
        for key, value in expected.items():
            assert_same(got[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(got) == len(expected), where
        for index, value in enumerate(expected):
            assert_same(got[index], value, f"{where}[{index}]")
    elif isinstance(expected, float):
        assert got == pytest.approx(expected, rel=1e-9, abs=0), where
    else:
        assert got == expected, where


def assert_same_file(got, expected):
    assert_same(json.loads(got.read_text()), json.loads(expected.read_text()))
    assert len(got.read_text().splitlines()) == len(expected.read_text().splitlines())
    assert not got.read_text().endswith("\n")


@pytest.fixture
def real_data(folders, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", str(DATA))
    return folders["nnUNet_preprocessed"]


@pytest.mark.parametrize("planner", PLANNERS)
@pytest.mark.parametrize("name", [SARCOMA_CT, *OTHERS])
def test_plans(real_data, name, planner):
    (real_data / name).mkdir()
    shutil.copy(GOLDEN / name / "dataset_fingerprint.json", real_data / name)
    identifier = planner(name).plan_experiment()["plans_name"]
    assert_same_file(real_data / name / f"{identifier}.json", GOLDEN / name / f"{identifier}.json")


@pytest.mark.parametrize("name", [SARCOMA_CT, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_fingerprints(real_data, name):
    extractor = DatasetFingerprintExtractor(name, num_processes=1)
    extractor.show_progress_bar = False
    extractor.run()
    file = "dataset_fingerprint.json"
    assert_same_file(real_data / name / file, GOLDEN / name / file)


def test_the_comparison_sees_differences():
    expected = {"a": [1.0, 2], "b": "x"}
    assert_same({"a": [1.0 + 1e-12, 2], "b": "x"}, expected)
    for wrong in (
        {"b": "x", "a": [1.0, 2]},
        {"a": [1.0 + 1e-8, 2], "b": "x"},
        {"a": [1.0, 2.0], "b": "x"},
        {"a": [1.0]},
    ):
        with pytest.raises(AssertionError):
            assert_same(wrong, expected)
