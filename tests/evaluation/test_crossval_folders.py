"""Which case is in which fold, and which folders may be emptied."""

import pytest

from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.evaluation.crossval_folders import prepare_collection, validated_cases
from tests.evaluation.tiny_results import write_documents, write_model


def test_cases_of_all_folds_with_their_folder(folders):
    model = write_model(folders, "2d", npz=False)
    cases = validated_cases(str(model), [0, 1], ".nii.gz")
    assert cases == {case: str(model / f"fold_{case in 'cd':d}" / "validation") for case in "abcd"}
    model = write_model(folders, "3d_fullres", split={"all": "abcd"})
    assert set(validated_cases(str(model), ["all"], ".npz")) == set("abcd")


@pytest.mark.parametrize("fold", [2, "all"])
def test_a_fold_without_validation_is_named_with_the_way_out(folders, fold):
    model = write_model(folders, "2d")
    with pytest.raises(MissingFileError, match=rf"fold_{fold}.validation has no predictions \(.*{fold} --val --npz"):
        validated_cases(str(model), [0, fold], ".nii.gz")


def test_folds_that_share_a_case_are_no_cross_validation(folders):
    model = write_model(folders, "2d", split={0: "ab", "all": "bc"})
    with pytest.raises(DatasetError, match="case b is in"):
        validated_cases(str(model), [0, "all"], ".nii.gz")


def filled(folder, *names):
    write_documents(folder)
    for name in names:
        (folder / name).write_text("x")
    return str(folder)


def test_a_result_of_an_earlier_run_is_emptied(tmp_path):
    names = ("a.tif", "a.json", "old.tif", "old.json", "summary.json", "postprocessing.pkl", "postprocessing.json")
    folder = filled(tmp_path / "r", *names)
    (tmp_path / "r" / "postprocessed").mkdir()
    prepare_collection(folder, ["a.tif"], ".tif", overwrite=True)
    assert list((tmp_path / "r").iterdir()) == []


@pytest.mark.parametrize("foreign", ["thesis.docx", "predict_from_raw_data_args.json", "checkpoint_final.pth"])
def test_a_folder_with_anything_else_is_not_emptied(tmp_path, foreign):
    folder = filled(tmp_path / "r", "a.nii.gz", foreign)
    with pytest.raises(UsageError, match=f"holds {foreign}"):
        prepare_collection(folder, ["a.nii.gz"], ".nii.gz", overwrite=True)
    assert (tmp_path / "r" / foreign).exists()


def test_a_folder_of_labels_is_not_emptied(tmp_path):
    (tmp_path / "labelsTr").mkdir()
    (tmp_path / "labelsTr" / "a.nii.gz").write_text("x")
    with pytest.raises(UsageError, match=r"has no dataset\.json"):
        prepare_collection(str(tmp_path / "labelsTr"), ["a.nii.gz"], ".nii.gz", overwrite=True)
    assert (tmp_path / "labelsTr" / "a.nii.gz").exists()


def test_a_model_folder_is_not_emptied(folders):
    model = write_model(folders, "2d")
    with pytest.raises(UsageError, match="holds fold_0"):
        prepare_collection(str(model), [], ".nii.gz", overwrite=True)
    assert (model / "fold_0" / "validation" / "a.nii.gz").exists()


def test_an_empty_or_missing_folder_is_ready(tmp_path):
    for _ in range(2):
        prepare_collection(str(tmp_path / "deep" / "r"), [], ".nii.gz", overwrite=True)
    assert (tmp_path / "deep" / "r").is_dir()


def test_without_overwrite_nothing_is_deleted_and_other_cases_are_reported(tmp_path, caplog):
    folder = filled(tmp_path / "r", "a.nii.gz", "old.nii.gz", "thesis.docx")
    prepare_collection(folder, ["a.nii.gz"], ".nii.gz", overwrite=False)
    assert len(list((tmp_path / "r").iterdir())) == 5
    assert "1 other cases, such as old.nii.gz" in caplog.text
