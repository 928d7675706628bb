import json

import numpy as np
import pytest

from nnunetv2.errors import DatasetError, FileContentError
from nnunetv2.records.splits import check_split, generate_crossval_split, load_splits, random_split
from nnunetv2.records.summary import (
    key_to_label_or_region,
    label_or_region_to_key,
    load_summary_json,
    save_summary_json,
)
from tests.shared_data import DATA, GOLDEN, needs_shared


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        (5, {0: ["c000"], 1: ["c004"]}),
        (7, {0: ["c003", "c006"], 1: ["c000", "c004"]}),
        (12, {0: ["c000", "c003", "c008"], 1: ["c007", "c010", "c011"]}),
    ],
)
def test_folds_are_those_of_nnunet(cases, expected):
    splits = generate_crossval_split([f"c{i:03d}" for i in reversed(range(cases))])
    for fold, val in expected.items():
        assert splits[fold]["val"] == val
    for split in splits:
        assert sorted(split["train"] + split["val"]) == [f"c{i:03d}" for i in range(cases)]


def test_too_few_cases_for_the_folds_is_an_error_with_a_way_out():
    with pytest.raises(DatasetError, match="4 training cases.*fold 'all'"):
        generate_crossval_split(list("abcd"))


def test_a_fold_beyond_the_file_is_a_seeded_80_20_split():
    train, val = random_split([f"c{i}" for i in range(10)], 7)
    drawn = np.random.RandomState(12352).choice(10, 8, replace=False)
    assert train == [f"c{i}" for i in drawn]
    assert sorted(train + val) == [f"c{i}" for i in range(10)] and val == sorted(val)


def test_a_damaged_splits_file_is_named(tmp_path):
    (tmp_path / "splits_final.json").write_text(json.dumps([{"train": []}]))
    with pytest.raises(DatasetError, match="fold 0 needs the keys"):
        load_splits(tmp_path / "splits_final.json")


def test_unknown_cases_in_a_split_are_listed():
    with pytest.raises(DatasetError, match="fold 0 names 1 case.*ghost"):
        check_split({"train": ["a", "ghost"], "val": ["b"]}, ["a", "b"], "splits_final.json, fold 0")


@needs_shared
def test_the_golden_split_is_reproduced():
    golden = json.loads((GOLDEN / "Dataset004_Hippocampus" / "splits_final.json").read_text())
    cases = [p.name.removesuffix(".nii.gz") for p in (DATA / "Dataset004_Hippocampus" / "labelsTr").glob("*.nii.gz")]
    assert generate_crossval_split(cases) == golden


@pytest.mark.parametrize(("value", "key"), [(2, "2"), (np.int64(2), "2"), ((1, np.int64(2)), "(1, 2)"), ((2,), "(2,)")])
def test_keys_of_a_summary_are_plain_and_reversible(value, key):
    assert label_or_region_to_key(value) == key
    assert key_to_label_or_region(key) == value


def test_a_summary_survives_a_round_trip_and_is_not_changed(tmp_path):
    metrics = {"Dice": np.float64(0.5), "TP": np.int64(3)}
    results = {
        "mean": {(1, 2): metrics, 3: metrics},
        "foreground_mean": metrics,
        "metric_per_case": [{"metrics": {(1, 2): metrics, 3: metrics}, "reference_file": "r", "prediction_file": "p"}],
    }
    save_summary_json(results, tmp_path / "summary.json")
    assert (1, 2) in results["mean"]
    assert load_summary_json(tmp_path / "summary.json") == results


def test_another_json_is_not_a_summary(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FileContentError, match=r"x\.json is not a summary"):
        load_summary_json(tmp_path / "x.json")
