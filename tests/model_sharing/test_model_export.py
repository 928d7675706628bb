"""Which files of trained models are shared, and when exporting refuses."""

from __future__ import annotations

import inspect
import zipfile

import pytest
import torch

from nnunetv2.errors import DiskFullError, MissingFileError, UsageError
from nnunetv2.model_sharing.commands import export_model_entry_point
from nnunetv2.model_sharing.model_export import export_pretrained_model
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from nnunetv2.utilities import disk_space
from tests.model_sharing.conftest import DATASET, ENSEMBLE, FLAT, FULLRES, checkpoint, names_in


def model_files(model: str, folds=(0, 1)) -> set[str]:
    per_fold = ("checkpoint_final.pth", "progress.png", "validation/summary.json")
    return (
        {f"{model}/{name}" for name in ("plans.json", "dataset.json", "dataset_fingerprint.json")}
        | {f"{model}/fold_{fold}/{name}" for fold in folds for name in per_fold}
        | results(f"{model}/crossval_results_folds_0_1")
    )


def results(folder: str) -> set[str]:
    return {f"{folder}/{name}" for name in ("summary.json", "postprocessing.pkl", "postprocessing.json")}


ABOUT = {"inference_information.json", "inference_instructions.txt"}


def test_the_order_of_arguments_is_the_established_one():
    assert list(inspect.signature(export_pretrained_model).parameters)[:10] == [
        "dataset_name_or_id",
        "output_file",
        "configurations",
        "trainer",
        "plans_identifier",
        "folds",
        "strict",
        "save_checkpoints",
        "overwrite_if_exists",
        "export_crossval_predictions",
    ]


def test_models_with_their_ensemble_and_the_report_are_exported(trained, tmp_path):
    export_pretrained_model(997, tmp_path / "m.zip", ("3d_fullres", "2d"), folds=(0, 1))
    expected = model_files(FULLRES) | model_files(FLAT) | results(f"ensembles/{ENSEMBLE}") | ABOUT
    assert names_in(tmp_path / "m.zip") == expected


def test_an_ensemble_stays_behind_when_one_of_its_members_does(trained, tmp_path):
    export_pretrained_model(DATASET, tmp_path / "m.zip", ("3d_fullres",), folds=(0, 1))
    assert names_in(tmp_path / "m.zip") == model_files(FULLRES) | ABOUT


def test_the_report_is_exported_without_any_ensemble(trained, tmp_path):
    import shutil

    shutil.rmtree(trained / "ensembles")
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(1,))
    assert (
        names_in(tmp_path / "m.zip") == model_files(FLAT, (1,)) - results(f"{FLAT}/crossval_results_folds_0_1") | ABOUT
    )


def test_validation_segmentations_are_added_on_request_but_no_probabilities(trained, tmp_path):
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0, 1), export_crossval_predictions=True)
    added = names_in(tmp_path / "m.zip") - model_files(FLAT) - ABOUT
    assert added == {
        f"{FLAT}/fold_0/validation/case_0.nii.gz",
        f"{FLAT}/fold_1/validation/case_1.nii.gz",
        f"{FLAT}/crossval_results_folds_0_1/case_0.nii.gz",
    }


def test_what_describes_the_machine_is_added_only_on_request(trained, tmp_path):
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0, 1), include_debug=True)
    debug = {f"{FLAT}/fold_{fold}/debug.json" for fold in (0, 1)}
    assert names_in(tmp_path / "m.zip") == model_files(FLAT) | ABOUT | debug


@pytest.mark.parametrize("name", ["dataset_fingerprint.json", "fold_0/progress.png", "fold_0/validation/summary.json"])
def test_a_missing_optional_file_is_left_out(name, trained, tmp_path):
    (trained / FLAT / name).unlink()
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0, 1))
    assert names_in(tmp_path / "m.zip") == model_files(FLAT) - {f"{FLAT}/{name}"} | ABOUT


def test_fold_all_and_several_checkpoints_are_exported(trained, tmp_path):
    (trained / FLAT / "fold_0").rename(trained / FLAT / "fold_all")
    export_pretrained_model(
        997,
        tmp_path / "m.zip",
        ("2d",),
        folds=("all",),
        save_checkpoints=("checkpoint_final.pth", "checkpoint_best.pth"),
    )
    checkpoints = {name for name in names_in(tmp_path / "m.zip") if name.endswith(".pth")}
    assert checkpoints == {f"{FLAT}/fold_all/checkpoint_{kind}.pth" for kind in ("final", "best")}


def test_a_weights_only_checkpoint_can_be_used_but_not_continued(trained, tmp_path):
    export_pretrained_model(997, tmp_path / "full.zip", ("2d",), folds=(0,))
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0,), weights_only=True)
    assert (tmp_path / "m.zip").stat().st_size < (tmp_path / "full.zip").stat().st_size / 2
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        archive.extractall(tmp_path / "out")
    reduced = read_checkpoint(tmp_path / "out" / DATASET / FLAT / "fold_0" / "checkpoint_final.pth")
    assert set(reduced) == {"network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes"}
    assert reduced["network_weights"]["conv.weight"].sum() == sum(range(60))


def test_a_missing_fold_is_named_with_those_that_exist_and_nothing_is_written(trained, tmp_path):
    with pytest.raises(MissingFileError, match=r"no checkpoint_final.pth of fold 2, 3, 4\. It has fold_0: .*fold_1"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",))
    assert not list(tmp_path.glob("*.zip*"))


def test_a_missing_configuration_is_an_error_unless_left_out_on_request(trained, tmp_path):
    with pytest.raises(MissingFileError, match="3d_lowres.*trained are: .*2d, .*3d_fullres.*--not_strict"):
        export_pretrained_model(997, tmp_path / "m.zip", ("3d_lowres", "2d"), folds=(0, 1))
    export_pretrained_model(997, tmp_path / "m.zip", ("3d_lowres", "2d"), folds=(0, 1), strict=False)
    assert names_in(tmp_path / "m.zip") == model_files(FLAT) | ABOUT


def test_nothing_to_export_is_an_error_even_when_not_strict(trained, tmp_path):
    with pytest.raises(MissingFileError, match="3d_lowres"):
        export_pretrained_model(997, tmp_path / "m.zip", ("3d_lowres",), strict=False)
    with pytest.raises(UsageError, match="at least one"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=())


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_a_model_without_its_documents_is_not_exported(name, trained, tmp_path):
    (trained / FLAT / name).unlink()
    with pytest.raises(MissingFileError, match=name):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0, 1))


def test_a_checkpoint_that_could_not_be_installed_again_is_refused(trained, tmp_path):
    (trained / FLAT / "fold_0" / "weights.pt").write_text("")
    with pytest.raises(UsageError, match=r"weights\.pt.*ending \.pth"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), folds=(0,), save_checkpoints=("weights.pt",))


def test_an_existing_file_is_kept_unless_told_otherwise(trained, tmp_path):
    file = tmp_path / "m.zip"
    file.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        export_pretrained_model(997, file, ("2d",), folds=(0,))
    assert file.read_text() == "precious"
    export_pretrained_model(997, file, ("2d",), folds=(0,), overwrite_if_exists=True)
    assert zipfile.is_zipfile(file)


def test_a_failed_export_leaves_the_old_file(trained, tmp_path):
    file = tmp_path / "m.zip"
    file.write_text("precious")
    (trained / FLAT / "fold_1" / "checkpoint_final.pth").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match="fold_1/checkpoint_final.pth"):
        export_pretrained_model(997, file, ("2d",), folds=(0, 1), overwrite_if_exists=True, weights_only=True)
    assert file.read_text() == "precious"
    assert not list(tmp_path.glob(".tmp*"))


def test_the_command_passes_everything_on(trained, tmp_path):
    output = str(tmp_path / "m.zip")
    export_model_entry_point(
        ["-d", "997", "-o", output, "-c", "2d", "3d_lowres", "-f", "0", "1", "--not_strict", "--weights_only"]
    )
    assert names_in(tmp_path / "m.zip") == model_files(FLAT) | ABOUT


def test_the_command_reports_a_missing_fold_with_status_1(trained, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        export_model_entry_point(["-d", "997", "-o", str(tmp_path / "m.zip"), "-c", "2d", "-f", "all"])
    assert end.value.code == 1
    assert "fold all" in capsys.readouterr().err
    assert not (tmp_path / "m.zip").exists()


@pytest.mark.parametrize(("weights_only", "part"), [(False, 1 / 2), (True, 1 / 6)])
def test_an_export_that_cannot_fit_is_refused_and_one_that_might_is_not(
    trained, tmp_path, monkeypatch, weights_only, part
):
    path = trained / FLAT / "fold_0" / "checkpoint_final.pth"
    generator = torch.Generator().manual_seed(0)
    content = checkpoint() | {"network_weights": {"w": torch.randn(200, 200, generator=generator)}}
    write_checkpoint(path, content)
    settings = {"folds": (0,), "weights_only": weights_only, "overwrite_if_exists": True}
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), **settings)
    with zipfile.ZipFile(tmp_path / "m.zip") as archive:
        needed = archive.getinfo(f"{DATASET}/{FLAT}/fold_0/checkpoint_final.pth").compress_size
    assert part * path.stat().st_size < 0.9 * needed
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: int(part * path.stat().st_size))
    export_pretrained_model(997, tmp_path / "m.zip", ("2d",), **settings)
    monkeypatch.setattr(disk_space, "free_bytes", lambda folder: int(part * path.stat().st_size) - 1)
    with pytest.raises(DiskFullError, match=r"m\.zip needs at least .* --weights_only"):
        export_pretrained_model(997, tmp_path / "m.zip", ("2d",), **settings)
