"""Postprocessing of arrays, files and folders, and the search on a folder."""

import json

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.postprocessing.commands import apply_postprocessing_entry_point, determine_postprocessing_entry_point
from nnunetv2.postprocessing.remove_connected_components import (
    apply_postprocessing,
    apply_postprocessing_to_folder,
    determine_postprocessing,
    load_postprocess_save,
    remove_all_but_largest_component_from_segmentation,
)
from tests.evaluation.conftest import write_label_map
from tests.evaluation.tiny_results import dataset_json, reference, write_documents
from tests.json_comparison import assert_same_json
from tests.shared_data import DATA, GOLDEN, needs_shared

KEEP_LARGEST = remove_all_but_largest_component_from_segmentation


def read(path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def row(text) -> np.ndarray:
    return np.array([[int(digit) for digit in text]])


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (1, "1102200220"),
        (2, "1102201220"),
        ((1, 2), "0000001220"),
        ([1, 2], "0000001220"),
        ([(1, 2)], "0000001220"),
        (3, "1102201220"),
    ],
)
def test_one_component_is_left_of_a_label_or_union(labels, expected):
    segmentation = row("1102201220")
    before = segmentation.copy()
    np.testing.assert_array_equal(KEEP_LARGEST(segmentation, labels), row(expected))
    np.testing.assert_array_equal(segmentation, before)


def test_the_background_may_have_another_value():
    np.testing.assert_array_equal(KEEP_LARGEST(row("11010"), 1, background_label=7), row("11070"))
    np.testing.assert_array_equal(KEEP_LARGEST(row("11010"), 1, 7), row("11070"))


def test_an_outer_region_takes_inner_labels_with_it():
    np.testing.assert_array_equal(KEEP_LARGEST(row("111020"), (1, 2)), row("111000"))


def test_functions_are_applied_in_order():
    calls = [{"labels_or_regions": [1, 2]}, {"labels_or_regions": 1}]
    np.testing.assert_array_equal(apply_postprocessing(row("11210010"), [KEEP_LARGEST] * 2, calls), row("11200000"))


def test_a_file_keeps_its_geometry(tmp_path):
    array = np.array([[[1, 1, 0, 1]]])
    write_label_map(tmp_path / "in.nii.gz", array, spacing=(3.0, 1.0, 2.0), origin=(5.0, 6.0, 7.0))
    arguments = [KEEP_LARGEST], [{"labels_or_regions": 1}]
    load_postprocess_save(str(tmp_path / "in.nii.gz"), str(tmp_path / "out.nii.gz"), SimpleITKIO(), *arguments)
    image = sitk.ReadImage(str(tmp_path / "out.nii.gz"))
    assert sitk.GetArrayFromImage(image).tolist() == [[[1, 1, 0, 0]]]
    assert image.GetSpacing() == (2.0, 1.0, 3.0) and image.GetOrigin() == (5.0, 6.0, 7.0)


def with_islands(case: str) -> np.ndarray:
    """The reference with a wrong island of each label."""
    array = reference(case)
    array[0, 6, 0], array[0, 6, 5] = 1, 2
    return array


@pytest.fixture
def predictions(tmp_path):
    """Folders ``pred`` (wrong islands of both labels) and ``ref`` with one case more."""
    write_documents(tmp_path / "pred")
    for case in "abcd":
        write_label_map(tmp_path / "ref" / f"{case}.nii.gz", reference(case))
        if case != "d":
            write_label_map(tmp_path / "pred" / f"{case}.nii.gz", with_islands(case))
    return tmp_path / "pred", tmp_path / "ref"


def test_a_folder_is_postprocessed_file_by_file(predictions, tmp_path):
    calls = [KEEP_LARGEST] * 2, [{"labels_or_regions": 1}, {"labels_or_regions": 2}]
    apply_postprocessing_to_folder(predictions[0], tmp_path / "out", *calls, num_processes=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{case}.nii.gz" for case in "abc"]
    for case in "abc":
        np.testing.assert_array_equal(read(tmp_path / "out" / f"{case}.nii.gz"), reference(case))


def test_what_helps_is_found_applied_and_written_down(predictions):
    functions, kwargs = determine_postprocessing(*map(str, predictions), num_processes=1)
    assert functions == [KEEP_LARGEST] and kwargs == [{"labels_or_regions": [1, 2]}]
    pred = predictions[0]
    content = json.loads((pred / "postprocessing.json").read_text())
    assert content["postprocessed"]["foreground_mean"]["Dice"] == 1.0
    assert content["input_folder"] == {
        key: value for key, value in json.loads((pred / "summary.json").read_text()).items() if key != "metric_per_case"
    }
    names = sorted(path.name for path in (pred / "postprocessed").iterdir())
    assert names == ["a.nii.gz", "b.nii.gz", "c.nii.gz", "summary.json"]
    np.testing.assert_array_equal(read(pred / "postprocessed" / "a.nii.gz"), reference("a"))
    assert not [path.name for path in pred.iterdir() if "temp" in path.name or "tmp" in path.name]


def test_when_nothing_helps_all_files_are_copied(predictions):
    pred, ref = predictions
    for case in "abc":
        write_label_map(pred / f"{case}.nii.gz", reference(case))
    (pred / "a.npz").write_bytes(b"probabilities")
    assert determine_postprocessing(str(pred), str(ref), num_processes=1) == ([], [])
    names = {path.name for path in (pred / "postprocessed").iterdir()}
    documents = {"dataset.json", "plans.json", "summary.json"}
    assert names == {"a.nii.gz", "b.nii.gz", "c.nii.gz", "a.npz", *documents}
    content = json.loads((pred / "postprocessing.json").read_text())
    assert content["postprocessed"] == content["input_folder"]


def test_the_postprocessed_files_need_not_be_kept(predictions):
    determine_postprocessing(*map(str, predictions), num_processes=1, keep_postprocessed_files=False)
    assert not (predictions[0] / "postprocessed").exists()
    assert (predictions[0] / "postprocessing.pkl").exists()


def test_results_of_an_earlier_search_do_not_survive(predictions):
    write_label_map(predictions[0] / "postprocessed" / "old.nii.gz", reference("a"))
    determine_postprocessing(*map(str, predictions), num_processes=1)
    assert not (predictions[0] / "postprocessed" / "old.nii.gz").exists()


def test_references_without_prediction_are_reported_only(predictions, caplog):
    determine_postprocessing(*map(str, predictions), num_processes=1)
    assert "1 references" in caplog.text


def test_predictions_without_reference_are_an_error(predictions):
    (predictions[1] / "b.nii.gz").unlink()
    with pytest.raises(MissingFileError, match=r"lacks the references of b\.nii\.gz"):
        determine_postprocessing(*map(str, predictions))


def test_an_out_of_date_summary_is_made_anew(predictions):
    determine_postprocessing(*map(str, predictions), num_processes=1)
    summary = json.loads((predictions[0] / "summary.json").read_text())
    write_label_map(predictions[0] / "d.nii.gz", reference("d"))
    determine_postprocessing(*map(str, predictions), num_processes=1)
    again = json.loads((predictions[0] / "summary.json").read_text())
    assert [len(content["metric_per_case"]) for content in (summary, again)] == [3, 4]


def test_documents_can_be_given_when_the_folder_has_none(predictions, tmp_path):
    pred, ref = predictions
    (tmp_path / "model").mkdir()
    for name in ("plans.json", "dataset.json"):
        (pred / name).rename(tmp_path / "model" / name)
    with pytest.raises(MissingFileError, match=r"plans\.json does not exist.*-plans_json"):
        apply_postprocessing_to_folder(str(pred), str(tmp_path / "out"), [], [])
    files = tmp_path / "model" / "plans.json", dataset_json()
    apply_postprocessing_to_folder(str(pred), str(tmp_path / "out"), [], [], *files, num_processes=1)
    determine_postprocessing(str(pred), str(ref), *files, num_processes=1)
    assert (pred / "postprocessing.json").exists()


def test_an_empty_or_missing_folder_is_an_error(tmp_path):
    write_documents(tmp_path / "pred")
    with pytest.raises(DatasetError, match=r"pred has no segmentations \(\*\.nii\.gz\)"):
        apply_postprocessing_to_folder(str(tmp_path / "pred"), str(tmp_path / "out"), [], [])
    with pytest.raises(MissingFileError, match="folder .*none does not exist"):
        apply_postprocessing_to_folder(str(tmp_path / "none"), str(tmp_path / "out"), [], [])
    with pytest.raises(MissingFileError, match="folder .*none does not exist"):
        determine_postprocessing(str(tmp_path / "none"), str(tmp_path))


def test_the_commands_find_and_apply(predictions, tmp_path, capsys):
    pred, ref = map(str, predictions)
    determine_postprocessing_entry_point(["-i", pred, "-ref", ref, "-np", "1", "--remove_postprocessed"])
    assert "Keep the largest component of [1, 2]" in capsys.readouterr().out
    assert not (predictions[0] / "postprocessed").exists()
    for kind in ("pkl", "json"):
        out = tmp_path / f"out_{kind}"
        chain = str(predictions[0] / f"postprocessing.{kind}")
        apply_postprocessing_entry_point(["-i", pred, "-o", str(out), "-pp_pkl_file", chain, "-np", "1"])
        np.testing.assert_array_equal(read(out / "c.nii.gz"), reference("c"))


def test_the_command_names_the_files_it_is_given(predictions, tmp_path):
    files = ["-plans_json", str(predictions[0] / "plans.json"), "-dataset_json", str(predictions[0] / "dataset.json")]
    (tmp_path / "pp.json").write_text(
        json.dumps({"postprocessing_fns": [KEEP_LARGEST.__name__], "postprocessing_kwargs": [{"labels_or_regions": 2}]})
    )
    chain = ["-pp_pkl_file", str(tmp_path / "pp.json")]
    folders = ["-i", str(predictions[1]), "-o", str(tmp_path / "out")]
    apply_postprocessing_entry_point([*folders, *chain, *files, "-np", "1"])
    assert len(list((tmp_path / "out").iterdir())) == 4


RESULTS = GOLDEN / "crossval" / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "crossval_results_folds_0_1_2"


@needs_shared
@pytest.mark.slow
def test_recorded_predictions_give_the_recorded_postprocessing(tmp_path):
    pred = tmp_path / "pred"
    pred.mkdir()
    for file in RESULTS.iterdir():
        if file.is_file() and file.name != "summary.json" and not file.name.startswith("postprocessing"):
            (pred / file.name).write_bytes(file.read_bytes())
    determine_postprocessing(str(pred), str(DATA / "Dataset004_Hippocampus" / "labelsTr"), num_processes=1)
    for name in ("postprocessing.json", "summary.json", "postprocessed/summary.json"):
        assert_same_json(json.loads((pred / name).read_text()), json.loads((RESULTS / name).read_text()))
    files = sorted((RESULTS / "postprocessed").glob("*.nii.gz"))
    assert len(files) == 24
    for file in files:
        np.testing.assert_array_equal(read(pred / "postprocessed" / file.name), read(file))


@needs_shared
def test_the_recorded_chain_gives_the_recorded_labels(tmp_path):
    names = ["hippocampus_004.nii.gz", "hippocampus_376.nii.gz", "dataset.json", "plans.json"]
    for name in names:
        (tmp_path / name).write_bytes((RESULTS / name).read_bytes())
    chain = ["-pp_pkl_file", str(RESULTS / "postprocessing.pkl"), "-np", "1"]
    apply_postprocessing_entry_point(["-i", str(tmp_path), "-o", str(tmp_path / "out"), *chain])
    for name in names[:2]:
        np.testing.assert_array_equal(read(tmp_path / "out" / name), read(RESULTS / "postprocessed" / name))
        assert (read(RESULTS / name) != read(RESULTS / "postprocessed" / name)).any()
