"""Bad input through the real commands: one clear error, exit status 1, and existing files as they were."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import (
    extract_fingerprint_entry,
    plan_and_preprocess_entry,
    plan_experiment_entry,
    preprocess_entry,
)
from nnunetv2.inference.commands import predict_entry_point, predict_entry_point_modelfolder
from nnunetv2.run.run_training import run_training_entry
from tests.conftest import FOLDER_VARIABLES, draw_few_samples, write_tiny_dataset

NAME = "Dataset997_Tiny"
SMALL_NETWORK = {
    "n_stages": 2,
    "features_per_stage": [4, 8],
    "kernel_sizes": [[3, 3, 3], [3, 3, 3]],
    "strides": [[1, 1, 1], [2, 2, 2]],
    "n_conv_per_stage": [1, 1],
    "n_conv_per_stage_decoder": [1],
}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A tiny data set with fingerprint, plans with a hand-added configuration ``small``, and preprocessed cases."""
    root = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        for name in FOLDER_VARIABLES:
            (root / name).mkdir()
            patch.setenv(name, str(root / name))
        patch.setenv("nnUNet_def_n_proc", "1")
        draw_few_samples(patch)
        write_tiny_dataset(root / "nnUNet_raw")
        plan_and_preprocess_entry(["-d", "997", "--no_pp", "-npfp", "1", "--no_pbar"])
        path = root / "nnUNet_preprocessed" / NAME / "nnUNetPlans.json"
        plans = json.loads(path.read_text())
        architecture = json.loads(json.dumps(plans["configurations"]["3d_fullres"]["architecture"]))
        architecture["arch_kwargs"].update(SMALL_NETWORK)
        plans["configurations"]["small"] = {
            "inherits_from": "3d_fullres",
            "data_identifier": "small",
            "patch_size": [8, 12, 12],
            "batch_size": 2,
            "architecture": architecture,
        }
        path.write_text(json.dumps(plans, indent=4))
        preprocess_entry(["-d", "997", "-c", "small", "-np", "1", "--no_pbar"])
    return root


@pytest.fixture
def workspace(prepared, tmp_path, monkeypatch) -> Path:
    """A copy of ``prepared`` that the test may damage, with the folder variables pointing to it."""
    root = tmp_path / "copy"
    shutil.copytree(prepared, root)
    for name in FOLDER_VARIABLES:
        monkeypatch.setenv(name, str(root / name))
    monkeypatch.setenv("nnUNet_def_n_proc", "1")
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    draw_few_samples(monkeypatch)
    return root


def digest(root: Path) -> dict[str, str]:
    """Every file below ``root`` with a hash of its content."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def fails(capsys, root: Path, entry, argv: list[str], *words: str) -> str:
    """Run the command: it must end with status 1, name ``words`` in its error, and leave every file as it was."""
    before = digest(root)
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        entry(argv)
    error = capsys.readouterr().err
    assert end.value.code == 1
    assert [line for line in error.splitlines() if line.startswith("Error: ")] == error.splitlines()[:1], error
    missing = [word for word in words if word not in error]
    assert not missing, f"{missing} not in: {error}"
    after = digest(root)
    changed = [name for name in before if after.get(name) != before[name]]
    assert not changed, f"these files changed: {changed}"
    return error


def edit_plans(root: Path, change) -> None:
    path = root / "nnUNet_preprocessed" / NAME / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    change(plans["configurations"])
    path.write_text(json.dumps(plans, indent=4))


def rewrite(path: Path, change) -> None:
    """Read an image, let ``change(array, image)`` return (array, spacing in x, y, z), write it back."""
    import SimpleITK as sitk

    image = sitk.ReadImage(str(path))
    array, spacing = change(sitk.GetArrayFromImage(image), image)
    result = sitk.GetImageFromArray(array)
    result.SetSpacing(spacing)
    result.SetOrigin(image.GetOrigin())
    result.SetDirection(image.GetDirection())
    sitk.WriteImage(result, str(path))


def raw(root: Path) -> Path:
    return root / "nnUNet_raw" / NAME


VERIFY = ["-d", "997", "--verify_dataset_integrity", "--clean", "-np", "1", "--no_pbar"]


def test_a_missing_channel_file(workspace, capsys):
    (raw(workspace) / "imagesTr" / "tiny_002_0001.nii.gz").unlink()
    fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "tiny_002", "_0001")
    fails(capsys, workspace, extract_fingerprint_entry, ["-d", "997", "--clean", "-np", "1", "--no_pbar"], "tiny_002")


def test_a_label_without_image(workspace, capsys):
    shutil.copy(raw(workspace) / "labelsTr" / "tiny_000.nii.gz", raw(workspace) / "labelsTr" / "ghost.nii.gz")
    fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "ghost")


def test_different_shapes_and_spacings(workspace, capsys):
    rewrite(raw(workspace) / "imagesTr" / "tiny_001_0001.nii.gz", lambda a, i: (a[:-2], i.GetSpacing()))
    rewrite(raw(workspace) / "labelsTr" / "tiny_003.nii.gz", lambda a, i: (a, (1.0, 1.0, 9.0)))
    error = fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "tiny_001", "tiny_003")
    assert "shape" in error
    assert "spacing" in error


def test_label_values_that_dataset_json_does_not_know(workspace, capsys):
    rewrite(raw(workspace) / "labelsTr" / "tiny_004.nii.gz", lambda a, i: (a + np.uint8(5), i.GetSpacing()))
    fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "tiny_004", "5")


def with_nan(array, image):
    array = array.astype(np.float32)
    array[3, 4, 5] = np.nan
    return array, image.GetSpacing()


def test_nan_in_an_image(workspace, capsys):
    rewrite(raw(workspace) / "imagesTr" / "tiny_002_0000.nii.gz", with_nan)
    fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "tiny_002", "NaN")


def test_all_problems_of_a_data_set_are_reported_in_one_go(workspace, capsys):
    rewrite(raw(workspace) / "imagesTr" / "tiny_002_0000.nii.gz", with_nan)
    rewrite(raw(workspace) / "labelsTr" / "tiny_004.nii.gz", lambda a, i: (a + np.uint8(5), i.GetSpacing()))
    (raw(workspace) / "imagesTr" / "tiny_000_0001.nii.gz").unlink()
    fails(capsys, workspace, extract_fingerprint_entry, VERIFY, "tiny_000", "tiny_002", "tiny_004")


@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_a_truncated_file(workspace, capsys, folder):
    suffix = "_0000" if folder == "imagesTr" else ""
    path = raw(workspace) / folder / f"tiny_003{suffix}.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for argv in (VERIFY, ["-d", "997", "--clean", "-np", "1", "--no_pbar"]):
        fails(capsys, workspace, extract_fingerprint_entry, argv, path.name)


def test_empty_folders_are_not_a_success_with_zero_cases(workspace, capsys, tmp_path):
    for path in (raw(workspace) / "imagesTr").iterdir():
        path.unlink()
    for entry in (extract_fingerprint_entry, preprocess_entry):
        fails(capsys, workspace, entry, ["-d", "997"], "imagesTr")


def test_an_unknown_data_set(workspace, capsys):
    fails(capsys, workspace, plan_experiment_entry, ["-d", "555"], "555", "nnUNet_raw")
    fails(capsys, workspace, run_training_entry, ["555", "small", "0", "-device", "cpu"], "555")


def train(configuration: str, *more: str) -> list[str]:
    return ["997", configuration, "0", "-device", "cpu", *more]


def test_an_unknown_configuration(workspace, capsys):
    fails(capsys, workspace, run_training_entry, train("3d_tiny"), "3d_tiny", "small")


def test_a_configuration_that_was_not_preprocessed(workspace, capsys):
    fails(capsys, workspace, run_training_entry, train("3d_fullres"), "nnUNetv2_preprocess", "3d_fullres")


def test_a_patch_size_that_the_strides_do_not_divide(workspace, capsys):
    edit_plans(workspace, lambda c: c["small"].update(patch_size=[8, 13, 12]))
    fails(capsys, workspace, run_training_entry, train("small"), "patch_size", "[8, 13, 12]", "strides")


def test_a_spacing_of_the_wrong_length(workspace, capsys):
    edit_plans(workspace, lambda c: c["small"].update(spacing=[2.0, 2.0]))
    fails(capsys, workspace, run_training_entry, train("small"), "spacing", "[2.0, 2.0]")
    fails(capsys, workspace, preprocess_entry, ["-d", "997", "-c", "small", "-np", "1"], "spacing", "[2.0, 2.0]")


def test_inheritance_that_goes_in_a_circle(workspace, capsys):
    edit_plans(workspace, lambda c: c.update(a={"inherits_from": "b"}, b={"inherits_from": "a"}))
    fails(capsys, workspace, run_training_entry, train("a"), "inherits_from", "a -> b -> a")
    fails(capsys, workspace, preprocess_entry, ["-d", "997", "-c", "a", "-np", "1"], "inherits_from", "a -> b -> a")


def test_an_unknown_trainer_and_unknown_plans(workspace, capsys):
    fails(capsys, workspace, run_training_entry, train("small", "-tr", "nnUNetTrainerTypo"), "nnUNetTrainerTypo", "-tr")
    fails(capsys, workspace, run_training_entry, train("small", "-p", "nnUNetPlansTypo"), "nnUNetPlansTypo")


def test_an_unknown_planner(workspace, capsys):
    fails(capsys, workspace, plan_experiment_entry, ["-d", "997", "-pl", "PlannerTypo"], "PlannerTypo", "-pl")


@pytest.fixture
def model(workspace) -> Path:
    """A model folder of configuration ``small`` with an untrained checkpoint in fold 0."""
    import torch

    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    preprocessed = workspace / "nnUNet_preprocessed" / NAME
    trainer = nnUNetTrainer(
        json.loads((preprocessed / "nnUNetPlans.json").read_text()),
        "small",
        0,
        json.loads((preprocessed / "dataset.json").read_text()),
        device=torch.device("cpu"),
    )
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    folder = Path(trainer.output_folder_base)
    for name in ("dataset.json", "dataset_fingerprint.json"):
        shutil.copy(preprocessed / name, folder / name)
    shutil.copy(preprocessed / "nnUNetPlans.json", folder / "plans.json")
    trainer.save_checkpoint(str(folder / "fold_0" / "checkpoint_final.pth"))
    return folder


def predict(model: Path, inputs: Path, output: Path, *more: str) -> list[str]:
    return ["-i", str(inputs), "-o", str(output), "-m", str(model), "-f", "0", "-device", "cpu", *more]


def test_the_untouched_model_predicts(workspace, model, tmp_path):
    predict_entry_point_modelfolder(predict(model, raw(workspace) / "imagesTr", tmp_path / "out", "--disable_tta"))
    assert len(list((tmp_path / "out").glob("*.nii.gz"))) == 6


def test_prediction_of_an_empty_folder(workspace, model, capsys, tmp_path):
    (tmp_path / "empty").mkdir()
    argv = predict(model, tmp_path / "empty", tmp_path / "out")
    fails(capsys, workspace, predict_entry_point_modelfolder, argv, str(tmp_path / "empty"))


def test_prediction_of_a_case_with_a_missing_channel(workspace, model, capsys, tmp_path):
    (raw(workspace) / "imagesTr" / "tiny_002_0001.nii.gz").unlink()
    argv = predict(model, raw(workspace) / "imagesTr", tmp_path / "out")
    fails(capsys, workspace, predict_entry_point_modelfolder, argv, "tiny_002")


def test_a_checkpoint_of_another_architecture(workspace, model, capsys, tmp_path):
    plans = json.loads((model / "plans.json").read_text())
    plans["configurations"]["small"]["architecture"]["arch_kwargs"]["features_per_stage"] = [4, 16]
    (model / "plans.json").write_text(json.dumps(plans))
    argv = predict(model, raw(workspace) / "imagesTr", tmp_path / "out")
    fails(capsys, workspace, predict_entry_point_modelfolder, argv, "checkpoint_final.pth")


def test_a_truncated_checkpoint(workspace, model, capsys, tmp_path):
    path = model / "fold_0" / "checkpoint_final.pth"
    path.write_bytes(path.read_bytes()[:1000])
    argv = predict(model, raw(workspace) / "imagesTr", tmp_path / "out")
    fails(capsys, workspace, predict_entry_point_modelfolder, argv, "checkpoint_final.pth")


def test_a_fold_that_does_not_exist_names_those_that_do(workspace, model, capsys, tmp_path):
    argv = ["-i", str(raw(workspace) / "imagesTr"), "-o", str(tmp_path / "out"), "-d", "997", "-c", "small"]
    error = fails(capsys, workspace, predict_entry_point, [*argv, "-device", "cpu"], "fold")
    assert "0" in error
