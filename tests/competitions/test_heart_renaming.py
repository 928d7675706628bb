"""rename_data.py on folders of files."""

import json
import os
import subprocess
import sys

import pytest
import SimpleITK as sitk

from nnunetv2.competitions import heart_renaming
from nnunetv2.competitions.heart_renaming_command import main
from nnunetv2.demo.heart_dataset import HeartDataset, write_heart_dataset
from nnunetv2.demo.heart_phantom import HeartPhantomSettings
from tests.competitions.heart_project import ROOT

SETTINGS = HeartPhantomSettings(shape=(12, 16, 16), spacing=(12.0, 11.0, 11.0))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder with two training cases and a test case; the present folder, as for a user."""
    write_heart_dataset(tmp_path / "nnUNet_raw" / "Dataset100_Heart", HeartDataset(2, 1, settings=SETTINGS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def listing(project) -> list[str]:
    return sorted(str(path.relative_to(project)) for path in project.rglob("*") if path.is_file())


RENAMED = [
    "nnUNet_raw/Dataset100_Heart/dataset.json",
    "nnUNet_raw/Dataset100_Heart/imagesTr/patient_001_0000.nii.gz",
    "nnUNet_raw/Dataset100_Heart/imagesTr/patient_002_0000.nii.gz",
    "nnUNet_raw/Dataset100_Heart/imagesTs/patient_003_0000.nii.gz",
    "nnUNet_raw/Dataset100_Heart/labelsTr/patient_001.nii.gz",
    "nnUNet_raw/Dataset100_Heart/labelsTr/patient_002.nii.gz",
]


def run(*arguments: str) -> None:
    main([*arguments, "-np", "1"])


def test_all_files_get_their_names_and_a_second_run_changes_nothing(project, capsys):
    run()
    assert listing(project) == RENAMED
    content = json.loads((project / RENAMED[0]).read_text())
    assert content["labels"] == {"background": 0, "myocardium": 1, "aortic valve": 2, "calcification": 3}
    assert (content["channel_names"], content["numTraining"], content["file_ending"]) == ({"0": "CT"}, 2, ".nii.gz")
    before = [(project / name).stat().st_mtime_ns for name in RENAMED]
    capsys.readouterr()
    run()
    assert capsys.readouterr().out == "0 file(s) renamed\n"
    assert [(project / name).stat().st_mtime_ns for name in RENAMED] == before


def test_the_script_at_the_top_level_does_it(project):
    done = subprocess.run([sys.executable, str(ROOT / "rename_data.py")], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert listing(project) == RENAMED


def test_a_dry_run_shows_everything_and_touches_nothing(project, capsys):
    before = listing(project)
    run("--dry-run")
    printed = capsys.readouterr().out
    assert listing(project) == before
    assert "labelsTr/patient0001_gt.nii.gz -> patient_001.nii.gz" in printed
    assert "dataset.json: new, 2 training cases" in printed
    assert "5 file(s) would be renamed" in printed


def test_the_variable_says_where_raw_data_lie(project, monkeypatch):
    (project / "nnUNet_raw").rename(project / "elsewhere")
    with pytest.raises(SystemExit):
        run()
    monkeypatch.setenv("nnUNet_raw", str(project / "elsewhere"))
    run()
    assert listing(project / "elsewhere")[0] == "Dataset100_Heart/dataset.json"


def test_predictions_get_the_names_of_the_submission_and_documents_beside_them_stay(project):
    folder = project / "predict_pp"
    folder.mkdir()
    for name in ("patient_051.nii.gz", "patient0052_predict.nii.gz", "plans.json", "dataset.json", ".hidden"):
        (folder / name).write_text(name)
    run("--only", "predictions")
    expected = [".hidden", "dataset.json", "patient0051_predict.nii.gz", "patient0052_predict.nii.gz", "plans.json"]
    assert sorted(os.listdir(folder)) == expected
    assert (folder / "patient0051_predict.nii.gz").read_text() == "patient_051.nii.gz"
    assert "patient0001.nii.gz" in os.listdir(project / "nnUNet_raw/Dataset100_Heart/imagesTr")


def test_unknown_names_and_collisions_are_all_listed_before_anything_is_touched(project, capsys):
    images = project / "nnUNet_raw/Dataset100_Heart/imagesTr"
    (images / "patient_001_0000.nii.gz").write_text("another file")
    (images / "case7.nii.gz").write_text("a stranger")
    (images.parent / "labelsTr" / "patient0002_seg.nii.gz").write_text("a stranger")
    (images.parent / "imagesTs" / "folder").mkdir()
    before = listing(project)
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 1
    message = capsys.readouterr().err
    assert "4 problems" in message
    for part in ("case7.nii.gz", "patient0002_seg.nii.gz", "patient0001.nii.gz and patient_001", "folder is no file"):
        assert part in message
    assert listing(project) == before


def test_an_interrupted_run_is_completed_by_the_next_one(project, monkeypatch):
    rename, calls = os.rename, []

    def dies_at_the_third(old, new):
        calls.append(old)
        if len(calls) == 3:
            raise KeyboardInterrupt
        rename(old, new)

    monkeypatch.setattr(heart_renaming.os, "rename", dies_at_the_third)
    with pytest.raises(SystemExit):
        run()
    assert len([name for name in listing(project) if "patient_" in name]) == 2
    monkeypatch.setattr(heart_renaming.os, "rename", rename)
    run()
    assert listing(project) == RENAMED


def test_a_file_that_appears_meanwhile_is_never_overwritten(project):
    folder = project / "nnUNet_raw/Dataset100_Heart"
    plan = heart_renaming.plan_data(folder)
    (folder / "imagesTr/patient_002_0000.nii.gz").write_text("new")
    with pytest.raises(heart_renaming.DatasetError, match="appeared while"):
        heart_renaming.carry_out(plan)
    assert (folder / "imagesTr/patient_002_0000.nii.gz").read_text() == "new"
    assert (folder / "imagesTr/patient0002.nii.gz").is_file()


def test_strange_label_values_and_damaged_labels_and_missing_partners_are_all_named(project, capsys):
    labels = project / "nnUNet_raw/Dataset100_Heart/labelsTr"
    image = sitk.ReadImage(str(labels / "patient0001_gt.nii.gz"))
    array = sitk.GetArrayFromImage(image)
    array[0, 0, :2] = (4, 9)
    sitk.WriteImage(sitk.GetImageFromArray(array), str(labels / "patient0001_gt.nii.gz"))
    (labels / "patient0002_gt.nii.gz").write_bytes(b"no image")
    (labels.parent / "imagesTr" / "patient0002.nii.gz").unlink()
    before = listing(project)
    with pytest.raises(SystemExit):
        run()
    message = capsys.readouterr().err
    assert "patient0001_gt.nii.gz has label value(s) 4, 9" in message
    assert "patient0002_gt.nii.gz" in message
    assert "patient 2 has no image in imagesTr" in message
    assert listing(project) == before


def test_an_existing_dataset_json_is_left_as_it_is(project):
    target = project / RENAMED[0]
    target.write_text('{"mine": true}')
    run()
    assert target.read_text() == '{"mine": true}'
    assert listing(project) == RENAMED
