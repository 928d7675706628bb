"""postprocessing.pkl and .json are written as nnU-Net v2 does, and read without executing anything."""

import json
import pickle

import numpy as np
import pytest

from nnunetv2.errors import FileContentError, MissingFileError
from nnunetv2.postprocessing.postprocessing_files import write_postprocessing
from nnunetv2.postprocessing.remove_connected_components import (
    load_postprocessing,
    remove_all_but_largest_component_from_segmentation,
)
from tests.shared_data import GOLDEN, needs_shared

STEPS = [[1, 2, 3], (2, 3), 3]
CHAIN = (
    [remove_all_but_largest_component_from_segmentation] * len(STEPS),
    [{"labels_or_regions": step} for step in STEPS],
)
SUMMARY = {
    "mean": {1: {"Dice": 0.5}, (2, 3): {"Dice": 0.25}},
    "foreground_mean": {"Dice": 0.375},
    "metric_per_case": [],
}


@pytest.fixture
def written(tmp_path):
    write_postprocessing(tmp_path, CHAIN, SUMMARY, SUMMARY)
    return tmp_path


def test_the_pickle_is_a_pair_of_lists_with_the_established_function(written):
    assert pickle.loads((written / "postprocessing.pkl").read_bytes()) == CHAIN
    assert b"nnunetv2.postprocessing.remove_connected_components" in (written / "postprocessing.pkl").read_bytes()


def test_the_json_says_the_same_in_words(written):
    content = json.loads((written / "postprocessing.json").read_text())
    assert list(content) == ["input_folder", "postprocessed", "postprocessing_fns", "postprocessing_kwargs"]
    assert content["input_folder"] == {
        "foreground_mean": {"Dice": 0.375},
        "mean": {"(2, 3)": {"Dice": 0.25}, "1": {"Dice": 0.5}},
    }
    assert content["postprocessing_fns"] == ["remove_all_but_largest_component_from_segmentation"] * 3
    assert content["postprocessing_kwargs"] == [{"labels_or_regions": step} for step in ([1, 2, 3], [2, 3], 3)]


@pytest.mark.parametrize("name", ["postprocessing.pkl", "postprocessing.json"])
def test_both_files_give_the_chain_back(written, name):
    functions, kwargs = load_postprocessing(written / name)
    assert functions == CHAIN[0]
    assert [np.ravel(entry["labels_or_regions"]).tolist() for entry in kwargs] == [[1, 2, 3], [2, 3], [3]]


def test_the_json_beside_a_pickle_is_preferred(written):
    content = json.loads((written / "postprocessing.json").read_text())
    for key in ("postprocessing_fns", "postprocessing_kwargs"):
        content[key] = content[key][:1]
    (written / "postprocessing.json").write_text(json.dumps(content))
    assert len(load_postprocessing(written / "postprocessing.pkl")[0]) == 1


def test_a_pickle_alone_or_beside_another_json_is_enough(written):
    (written / "postprocessing.json").write_text('{"spacing": [1, 1, 1]}')
    assert load_postprocessing(written / "postprocessing.pkl") == CHAIN
    (written / "postprocessing.json").unlink()
    assert load_postprocessing(written / "postprocessing.pkl") == CHAIN


def test_numpy_label_values_are_accepted(tmp_path):
    kwargs = [{"labels_or_regions": [np.int64(1), np.int64(2)]}]
    (tmp_path / "p.pkl").write_bytes(pickle.dumps((CHAIN[0][:1], kwargs)))
    functions, read = load_postprocessing(tmp_path / "p.pkl")
    segmentation = np.array([[1, 2, 0, 2]])
    assert functions[0](segmentation, **read[0]).tolist() == [[1, 2, 0, 0]]


@pytest.mark.parametrize("function", [print, np.load, eval, load_postprocessing])
def test_other_functions_in_a_pickle_are_not_even_looked_up(tmp_path, function):
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(([function], [{"labels_or_regions": 1}])))
    with pytest.raises(FileContentError, match=r"p\.pkl.*it asks for"):
        load_postprocessing(tmp_path / "p.pkl")


def test_other_functions_in_a_json_are_named(tmp_path):
    content = {"postprocessing_fns": ["os.system"], "postprocessing_kwargs": [{"labels_or_regions": 1}]}
    (tmp_path / "p.json").write_text(json.dumps(content))
    with pytest.raises(FileContentError, match=r"p\.json names 'os\.system'"):
        load_postprocessing(tmp_path / "p.json")


@pytest.mark.parametrize(
    "content",
    [[], {}, {"a": 1}, [[1], [2], [3]], {"postprocessing_fns": ["x"], "postprocessing_kwargs": []}, [["f"], [{}]]],
)
@pytest.mark.parametrize("ending", [".json", ".pkl"])
def test_other_content_is_no_postprocessing(tmp_path, content, ending):
    data = json.dumps(content).encode() if ending == ".json" else pickle.dumps(content)
    (tmp_path / f"p{ending}").write_bytes(data)
    with pytest.raises(FileContentError, match=r"p\.(json|pkl) is no postprocessing file"):
        load_postprocessing(tmp_path / f"p{ending}")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.pkl"):
        load_postprocessing(tmp_path / "none.pkl")


@needs_shared
def test_a_recorded_pickle_and_its_json_say_the_same(tmp_path):
    folder = GOLDEN / "crossval" / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "crossval_results_folds_0_1_2"
    (tmp_path / "postprocessing.pkl").write_bytes((folder / "postprocessing.pkl").read_bytes())
    functions, kwargs = load_postprocessing(tmp_path / "postprocessing.pkl")
    assert (functions, kwargs) == load_postprocessing(folder / "postprocessing.json")
    assert [entry["labels_or_regions"] for entry in kwargs] == [[1, 2], 1, 2]
