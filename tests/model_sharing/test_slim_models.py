"""Slim archives: what is in them, that they install, and that they predict the same."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.errors import FileContentError, UsageError
from nnunetv2.inference.model_folder import checkpoint_path, detect_folds, selected_folds
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.model_sharing.commands import export_model_entry_point, install_from_zip_entry_point
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.model_sharing.model_import import install_model_from_zip_file
from nnunetv2.training.checkpoint import read_checkpoint
from tests.model_sharing.conftest import DATASET, ENSEMBLE, FLAT, FULLRES, checkpoint, names_in, write_zip
from tests.shared_data import GOLDEN, needs_shared

ABOUT = {"inference_information.json", "inference_instructions.txt"}
WEIGHTS = checkpoint()["network_weights"]["conv.weight"]


def slim_files(model: str, folds=(0, 1)) -> set[str]:
    return {f"{model}/{name}" for name in ("plans.json", "dataset.json")} | {
        f"{model}/fold_{fold}/checkpoint_final.safetensors" for fold in folds
    }


def postprocessing(folder: str) -> str:
    return f"{folder}/postprocessing.json"


@pytest.fixture
def slim(trained, tmp_path) -> Path:
    """A slim archive of a model with two folds."""
    export_model_entry_point(["-d", "997", "-c", "3d_fullres", "-f", "0", "1", "-o", str(tmp_path / "m.zip"), "--slim"])
    return tmp_path / "m.zip"


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Another results folder."""
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "elsewhere"))
    return tmp_path / "elsewhere"


def test_only_what_prediction_reads_is_exported(trained, tmp_path):
    export_pretrained_model(997, tmp_path / "m.zip", ("3d_fullres", "2d"), folds=(0, 1), slim=True)
    results = {f"{model}/crossval_results_folds_0_1" for model in (FULLRES, FLAT)} | {f"ensembles/{ENSEMBLE}"}
    expected = slim_files(FULLRES) | slim_files(FLAT) | ABOUT | {postprocessing(folder) for folder in results}
    assert names_in(tmp_path / "m.zip") == expected


def test_postprocessing_without_json_is_kept_as_it_is(trained, tmp_path):
    (trained / FLAT / "crossval_results_folds_0_1" / "postprocessing.json").unlink()
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0, 1), slim=True)
    assert f"{FLAT}/crossval_results_folds_0_1/postprocessing.pkl" in names_in(tmp_path / "m.zip")


@pytest.mark.parametrize("other", ["--weights_only", "--debug_json", "--exp_cv_preds"])
def test_what_contradicts_it_is_refused(trained, tmp_path, other, capsys):
    with pytest.raises(SystemExit):
        export_model_entry_point(["-d", "997", "-c", "2d", "-f", "0", "-o", str(tmp_path / "m.zip"), "--slim", other])
    assert "--slim holds weights only" in capsys.readouterr().err


def test_it_installs_under_the_names_that_are_asked_for(slim, elsewhere):
    (folder,) = install_model_from_zip_file(slim)
    assert detect_folds(folder) == [0, 1]
    assert selected_folds(folder, (1,)) == [1]
    path = checkpoint_path(folder, 0, "checkpoint_final.pth")
    assert path.endswith("fold_0/checkpoint_final.safetensors")
    assert torch.equal(read_checkpoint(path)["network_weights"]["conv.weight"], WEIGHTS)
    assert checkpoint_path(folder, 0, "checkpoint_best.pth").endswith("checkpoint_best.pth")


def test_a_checkpoint_to_train_on_with_is_preferred(slim, elsewhere):
    (folder,) = install_model_from_zip_file(slim)
    (Path(folder) / "fold_0" / "checkpoint_final.pth").write_bytes(b"x")
    assert checkpoint_path(folder, 0, "checkpoint_final.pth").endswith(".pth")


def test_it_is_exported_again_in_either_way(slim, elsewhere, tmp_path):
    install_model_from_zip_file(slim)
    for flags in ({}, {"slim": True}, {"weights_only": True}):
        export_pretrained_model(
            997, tmp_path / "n.zip", ("3d_fullres",), folds=(0, 1), overwrite_if_exists=True, **flags
        )
        with zipfile.ZipFile(slim) as first, zipfile.ZipFile(tmp_path / "n.zip") as second:
            name = f"{DATASET}/{FULLRES}/fold_1/checkpoint_final.safetensors"
            assert first.read(name) == second.read(name)


def test_on_request_it_becomes_what_others_read(slim, elsewhere):
    install_from_zip_entry_point([str(slim), "--as-pth"])
    fold = elsewhere / DATASET / FULLRES / "fold_0"
    assert [path.name for path in fold.iterdir()] == ["checkpoint_final.pth"]
    content = torch.load(fold / "checkpoint_final.pth", weights_only=True)
    assert content["init_args"] == {"configuration": "3d_fullres", "fold": 0}
    assert torch.equal(content["network_weights"]["conv.weight"], WEIGHTS)


def test_a_damaged_one_is_not_installed(elsewhere, tmp_path):
    name = f"{DATASET}/{FULLRES}/fold_0/checkpoint_final.safetensors"
    with pytest.raises(
        FileContentError, match=rf"m\.zip was not installed: {name} in it: .*not a readable safetensors"
    ):
        install_model_from_zip_file(write_zip(tmp_path / "m.zip", {name: b"weights"}))
    assert not list(elsewhere.iterdir())


def test_a_hostile_checkpoint_is_installed_only_when_trusted(elsewhere, tmp_path, capsys):
    torch.save({"network_weights": {}, "extra": Path("x")}, tmp_path / "c.pth")
    name = f"{DATASET}/{FULLRES}/fold_0/checkpoint_final.pth"
    archive = write_zip(tmp_path / "m.zip", {name: (tmp_path / "c.pth").read_bytes()})
    with pytest.raises(SystemExit):
        install_from_zip_entry_point([str(archive)])
    assert "pathlib.PosixPath), which can run code. If you trust" in capsys.readouterr().err
    install_from_zip_entry_point([str(archive), "--trust-pickle"])
    assert (elsewhere / name).exists()


def test_nothing_is_exported_from_something_else(trained, tmp_path):
    torch.save({"network_weights": {}}, trained / FLAT / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(FileContentError, match=r"checkpoint_final\.pth has no trainer_name"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0,), slim=True)
    with pytest.raises(UsageError, match="--slim"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0,), slim=True, weights_only=True)
    assert not (tmp_path / "m.zip").exists()


@needs_shared
def test_a_slim_model_of_nnunet_has_half_the_size_and_predicts_the_same(folders, tmp_path, monkeypatch):
    model = "nnUNetTrainer__nnUNetPlans__3d_fullres"
    results = folders["nnUNet_results"] / "Dataset004_Hippocampus"
    shutil.copytree(GOLDEN / "models" / model, results / model)
    sizes = {}
    for slim in (False, True):
        export_pretrained_model(4, tmp_path / f"{slim}.zip", ("3d_fullres",), folds=(0,), slim=slim)
        sizes[slim] = (tmp_path / f"{slim}.zip").stat().st_size
    assert sizes[True] <= sizes[False] / 2
    monkeypatch.setenv("nnUNet_results", str(tmp_path / "elsewhere"))
    (installed,) = install_model_from_zip_file(tmp_path / "True.zip")
    logits = []
    patch = json.loads((results / model / "plans.json").read_text())["configurations"]["3d_fullres"]["patch_size"]
    data = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *patch)).astype(np.float32))
    for folder in (str(results / model), installed):
        predictor = nnUNetPredictor(device=torch.device("cpu"), use_mirroring=False, allow_tqdm=False, engine="torch")
        predictor.initialize_from_trained_model_folder(folder, (0,))
        logits.append(predictor.predict_logits_from_preprocessed_data(data))
    assert torch.equal(*logits)
