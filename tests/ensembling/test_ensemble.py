"""Ensembles of folders and of cross-validations."""

import json
import pickle

import numpy as np
import pytest
import SimpleITK as sitk

from nnunetv2.ensembling.commands import ensemble_entry_point
from nnunetv2.ensembling.ensemble import (
    average_probabilities,
    ensemble_crossvalidations,
    ensemble_folders,
    merge_files,
)
from nnunetv2.errors import DatasetError, DiskFullError, LabelsError, MissingFileError, UsageError
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.utilities import disk_space
from nnunetv2.utilities.label_handling.label_handling import LabelManager
from tests.evaluation.tiny_results import (
    PROPERTIES,
    SHAPE,
    as_probabilities,
    dataset_json,
    reference,
    with_errors,
    write_documents,
    write_model,
    write_prediction,
)
from tests.shared_data import GOLDEN, needs_shared


def read(path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


@pytest.fixture
def members(tmp_path, rng):
    """Two folders with random probabilities of cases a and b, rounded so that ties occur."""
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        write_documents(folder)
        for case in "ab":
            probabilities = np.round(rng.uniform(size=(3, *SHAPE)), 1).astype(np.float32)
            write_prediction(folder, case, probabilities.argmax(0), probabilities)
    return folders


def mean_of(members, case) -> np.ndarray:
    first, second = (np.load(folder / f"{case}.npz")["probabilities"] for folder in members)
    return (first + second) / np.float32(2)


def test_labels_are_the_argmax_of_the_mean_the_lowest_on_ties(members, tmp_path):
    ensemble_folders(members, tmp_path / "out", num_processes=1)
    for case in "ab":
        mean = mean_of(members, case)
        assert (np.sort(mean, axis=0)[-1] == np.sort(mean, axis=0)[-2]).any(), "the test needs ties"
        np.testing.assert_array_equal(read(tmp_path / "out" / f"{case}.nii.gz"), mean.argmax(0))
    assert not list((tmp_path / "out").glob("*.npz"))


def test_the_result_can_be_postprocessed_since_both_documents_are_there(members, tmp_path):
    ensemble_folders(members, tmp_path / "out", num_processes=1)
    for name in ("dataset.json", "plans.json"):
        expected = json.loads((members[0] / name).read_text())
        assert json.loads((tmp_path / "out" / name).read_text()) == expected


def test_geometry_and_properties_are_those_of_the_first_member(members, tmp_path):
    ensemble_folders(members, tmp_path / "out", save_merged_probabilities=True, num_processes=2)
    assert sitk.ReadImage(str(tmp_path / "out" / "a.nii.gz")).GetSpacing() == PROPERTIES["sitk_stuff"]["spacing"]
    assert pickle.loads((tmp_path / "out" / "a.pkl").read_bytes()) == PROPERTIES


def test_saved_probabilities_are_the_mean(members, tmp_path):
    ensemble_folders(members, tmp_path / "out", save_merged_probabilities=True, num_processes=2)
    for case in "ab":
        saved = np.load(tmp_path / "out" / f"{case}.npz")["probabilities"]
        assert saved.dtype == np.float32
        np.testing.assert_array_equal(saved, mean_of(members, case))
        np.testing.assert_array_equal(
            average_probabilities([folder / f"{case}.npz" for folder in members]), mean_of(members, case)
        )


def test_regions_need_more_than_one_half_and_later_ones_win(tmp_path):
    labels = dataset_json({"background": 0, "whole": [1, 2], "core": [2]}, [1, 2])
    values = [[(0.5, 0.5), (0.75, 0.25), (1.0, 1.0)], [(0.5, 0.5), (0.75, 0.75), (0.25, 1.0)]]
    for name, member in zip(("m1", "m2"), values):
        write_documents(tmp_path / name, labels)
        array = np.array(member, dtype=np.float32).T.reshape(2, 1, 1, 3)
        write_prediction(tmp_path / name, "a", np.zeros((1, 1, 3)), array)
    ensemble_folders([tmp_path / "m1", tmp_path / "m2"], tmp_path / "out", num_processes=1)
    assert read(tmp_path / "out" / "a.nii.gz").ravel().tolist() == [0, 1, 2]


def test_a_label_manager_of_ones_own_decides_itself(members, tmp_path):
    class Inverted(LabelManager):
        def convert_probabilities_to_segmentation(self, predicted_probabilities):
            return predicted_probabilities.argmin(0)

    labels = Inverted(dataset_json()["labels"], None)
    files = [folder / "a.npz" for folder in members]
    merge_files(files, str(tmp_path / "a"), ".nii.gz", SimpleITKIO, labels)
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz"), mean_of(members, "a").argmin(0))


def test_the_writer_may_be_an_object(members, tmp_path):
    labels = LabelManager(dataset_json()["labels"], None)
    merge_files([members[0] / "a.npz"], str(tmp_path / "a"), ".nii.gz", SimpleITKIO(), labels)
    np.testing.assert_array_equal(read(tmp_path / "a.nii.gz"), read(members[0] / "a.nii.gz"))


def test_memory_does_not_grow_with_the_number_of_labels(tmp_path):
    import tracemalloc

    shape = (16, 64, 64)
    names = {"background": 0} | {f"l{i}": i for i in range(1, 40)}
    path = tmp_path / "a.npz"
    np.savez_compressed(path, probabilities=np.zeros((40, *shape), np.float32))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(PROPERTIES))
    labels = LabelManager(names, None)
    tracemalloc.start()
    merge_files([path, path], str(tmp_path / "out"), ".nii.gz", SimpleITKIO, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    channel = 4 * np.prod(shape)
    assert peak < 8 * channel, f"peak {peak / channel:.1f} channels of 40"


def test_other_cases_in_a_member_are_named(members, tmp_path):
    (members[1] / "b.npz").unlink()
    with pytest.raises(UsageError, match=r"second lacks .* b\. Predict the same images"):
        ensemble_folders(members, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_members_without_probabilities_are_an_error_that_says_how_to_get_them(members, tmp_path):
    for file in [*members[0].glob("*.npz"), *members[1].glob("*.npz")]:
        file.unlink()
    with pytest.raises(MissingFileError, match="--save_probabilities"):
        ensemble_folders(members, tmp_path / "out")


def test_members_with_other_labels_are_refused(members, tmp_path):
    write_documents(members[1], dataset_json({"background": 0, "core": 1, "shell": [1, 2]}, [1, 2]))
    with pytest.raises(UsageError, match=r"second.dataset\.json defines other labels"):
        ensemble_folders(members, tmp_path / "out")


def test_label_values_as_text_are_the_same_labels(members, tmp_path):
    write_documents(members[1], dataset_json({"background": "0", "shell": "1", "core": "2"}))
    ensemble_folders(members, tmp_path / "out", num_processes=1)
    assert (tmp_path / "out" / "b.nii.gz").exists()


def test_a_number_of_channels_that_does_not_fit_the_labels_is_an_error(members):
    labels = LabelManager({"background": 0, "only": 1}, None)
    with pytest.raises(LabelsError, match=r"3 channels.* 2"):
        merge_files([members[0] / "a.npz"], str(members[0] / "x"), ".nii.gz", SimpleITKIO, labels)


def test_cross_validations_may_have_different_splits(folders, tmp_path):
    first = write_model(folders, "2d", with_errors(3))
    second = write_model(folders, "3d_fullres", split={0: "ac", 1: "db"})
    ensemble_crossvalidations([first, second], tmp_path / "out", (0, 1), num_processes=1)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("a.nii.gz", "b.nii.gz", "c.nii.gz", "d.nii.gz", "dataset.json", "plans.json"),
    ]
    for case in "abcd":
        mean = (as_probabilities(with_errors(3)(case)) + as_probabilities(reference(case))) / 2
        np.testing.assert_array_equal(read(tmp_path / "out" / f"{case}.nii.gz"), mean.argmax(0))


def test_fold_without_probabilities_says_how_to_validate(folders, tmp_path):
    models = [write_model(folders, name, npz=name == "2d") for name in ("2d", "3d_fullres")]
    with pytest.raises(MissingFileError, match=r"3d_fullres.fold_0.validation has no .*--val --npz"):
        ensemble_crossvalidations(models, tmp_path / "out", (0, 1))


def test_a_case_that_one_model_lacks_is_named(folders, tmp_path):
    models = [write_model(folders, "2d"), write_model(folders, "3d_fullres", split={0: ["a"], 1: ["c", "d"]})]
    with pytest.raises(MissingFileError, match=r"3d_fullres has no probabilities of 1 cases.* b\."):
        ensemble_crossvalidations(models, tmp_path / "out", (0, 1))


def test_a_case_in_two_folds_is_an_error(folders, tmp_path):
    models = [write_model(folders, "2d", split={0: "ab", 1: "bc"}), write_model(folders, "3d_fullres")]
    with pytest.raises(DatasetError, match="case b is in .*fold_0.* and in .*fold_1"):
        ensemble_crossvalidations(models, tmp_path / "out", (0, 1))


def test_cases_of_an_earlier_run_do_not_survive(folders, tmp_path):
    models = [write_model(folders, name) for name in ("2d", "3d_fullres")]
    ensemble_crossvalidations(models, tmp_path / "out", (0, 1), num_processes=1)
    ensemble_crossvalidations(models, tmp_path / "out", (1,), num_processes=1)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["c.nii.gz", "d.nii.gz"]


def test_without_overwrite_existing_segmentations_stay(folders, tmp_path):
    models = [write_model(folders, name) for name in ("2d", "3d_fullres")]
    ensemble_crossvalidations(models, tmp_path / "out", (0, 1), num_processes=1)
    (tmp_path / "out" / "b.nii.gz").unlink()
    (tmp_path / "out" / "a.nii.gz").write_bytes(b"mine")
    ensemble_crossvalidations(models, tmp_path / "out", (0, 1), num_processes=1, overwrite=False)
    assert (tmp_path / "out" / "a.nii.gz").read_bytes() == b"mine"
    assert (tmp_path / "out" / "b.nii.gz").exists()


def test_the_command_averages_all_its_inputs(members, tmp_path):
    ensemble_entry_point(["-i", *map(str, members), "-o", str(tmp_path / "out"), "-np", "1", "--save_npz"])
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "a.npz")["probabilities"], mean_of(members, "a"))


def copies_with_cases(tmp_path, cases):
    """The golden predictions of two models, those cases only."""
    for name in ("2d_3folds_tta", "3d_3folds_tta"):
        (tmp_path / name).mkdir()
        documents = ["dataset.json", "plans.json"]
        for file in [*documents, *(case + ending for case in cases for ending in (".npz", ".pkl"))]:
            (tmp_path / name / file).symlink_to(GOLDEN / "predictions" / name / file)
    return [tmp_path / "2d_3folds_tta", tmp_path / "3d_3folds_tta"]


def assert_equal_to_recorded_ensemble(folder, cases):
    for case in cases:
        ours, theirs = (sitk.ReadImage(str(f / f"{case}.nii.gz")) for f in (folder, GOLDEN / "predictions/ensemble"))
        assert ours.GetPixelID() == theirs.GetPixelID()
        assert ours.GetSpacing() == theirs.GetSpacing() and ours.GetOrigin() == theirs.GetOrigin()
        np.testing.assert_array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(theirs))


@needs_shared
def test_two_recorded_predictions_give_the_recorded_ensemble(tmp_path):
    cases = ["hippocampus_041", "hippocampus_350"]
    ensemble_folders(copies_with_cases(tmp_path, cases), tmp_path / "out", num_processes=1)
    assert_equal_to_recorded_ensemble(tmp_path / "out", cases)


@needs_shared
@pytest.mark.slow
def test_all_recorded_predictions_give_the_recorded_ensemble(tmp_path):
    cases = [path.name.removesuffix(".nii.gz") for path in sorted((GOLDEN / "predictions/ensemble").glob("*.nii.gz"))]
    assert len(cases) == 10
    ensemble_folders(copies_with_cases(tmp_path, cases), tmp_path / "out", num_processes=2)
    assert_equal_to_recorded_ensemble(tmp_path / "out", cases)


def test_means_that_cannot_fit_are_refused_and_those_that_might_are_not(members, tmp_path, monkeypatch):
    ensemble_folders(members, tmp_path / "first", save_merged_probabilities=True, num_processes=1)
    needed = sum(path.stat().st_size for path in (tmp_path / "first").glob("*.npz"))
    least = sum(min((folder / f"{case}.npz").stat().st_size for folder in members) for case in "ab") // 2
    assert least < 0.9 * needed
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: least)
    ensemble_folders(members, tmp_path / "second", save_merged_probabilities=True, num_processes=1)
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: least - 1)
    with pytest.raises(DiskFullError, match=r"of 2 case\(s\) with --save_npz needs at least .* leave --save_npz"):
        ensemble_folders(members, tmp_path / "third", save_merged_probabilities=True, num_processes=1)
    assert not (tmp_path / "third").exists()
    ensemble_folders(members, tmp_path / "third", num_processes=1)
