"""The final validation: what it predicts, writes, evaluates and leaves as it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from nnunetv2.errors import CaseFailures, WorkerError
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.training import final_validation
from tests.training.tiny_training import (
    CASES,
    CPU,
    SPLITS,
    TinyTrainer,
    architecture,
    dataset_json_of,
    make_trainer,
    tiny_plans,
)

VAL = SPLITS[0]["val"]


@pytest.fixture
def trainer(preprocessed, folders):
    """An untrained but initialized trainer with deep supervision on."""
    torch.manual_seed(3)
    trainer = make_trainer(folders)
    trainer.initialize()
    trainer.set_deep_supervision_enabled(True)
    return trainer


def validation_folder(trainer) -> Path:
    return Path(trainer.output_folder, "validation")


def test_it_writes_one_segmentation_per_validation_case_and_a_summary(trainer, preprocessed):
    trainer.perform_actual_validation()
    folder = validation_folder(trainer)
    assert {p.name for p in folder.iterdir()} == {f"{case}.nii.gz" for case in VAL} | {"summary.json"}
    for case in VAL:
        predicted = sitk.ReadImage(str(folder / f"{case}.nii.gz"))
        reference = sitk.ReadImage(str(preprocessed / "gt_segmentations" / f"{case}.nii.gz"))
        assert predicted.GetSize() == reference.GetSize()
        assert predicted.GetSpacing() == pytest.approx(reference.GetSpacing())
        assert predicted.GetDirection() == pytest.approx(reference.GetDirection())
    summary = json.loads((folder / "summary.json").read_text())
    assert set(summary) == {"foreground_mean", "mean", "metric_per_case"}
    assert set(summary["mean"]) == {"1", "2"}


def test_the_log_names_each_case_and_the_mean_dice(trainer):
    trainer.perform_actual_validation()
    log = Path(trainer.log_file).read_text()
    dice = json.loads((validation_folder(trainer) / "summary.json").read_text())["foreground_mean"]["Dice"]
    for case in VAL:
        assert f": predicting {case} \n" in log
        assert f": {case}, shape torch.Size([2, 20, 21, 23]), rank 0 \n" in log
    assert ": Validation complete \n" in log
    assert f": Mean Validation Dice:  {dice} \n" in log


def test_metrics_are_those_of_the_written_files(trainer, preprocessed):
    trainer.perform_actual_validation()
    folder = validation_folder(trainer)
    per_case = json.loads((folder / "summary.json").read_text())["metric_per_case"]
    for entry in per_case:
        name = Path(entry["prediction_file"]).name
        predicted = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name))) == 1
        reference = sitk.GetArrayFromImage(sitk.ReadImage(str(preprocessed / "gt_segmentations" / name))) == 1
        assert entry["metrics"]["1"]["TP"] == int((predicted & reference).sum())
        assert entry["metrics"]["1"]["n_ref"] == int(reference.sum())


def test_probabilities_are_stored_on_request(trainer):
    trainer.perform_actual_validation(save_probabilities=True)
    folder = validation_folder(trainer)
    for case in VAL:
        probabilities = np.load(folder / f"{case}.npz")["probabilities"]
        segmentation = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{case}.nii.gz")))
        assert probabilities.shape == (3, *segmentation.shape)
        assert probabilities.sum(0) == pytest.approx(np.ones(segmentation.shape), abs=1e-3)
        assert (probabilities.argmax(0) == segmentation).all()
        assert (folder / f"{case}.pkl").is_file()


def test_predictions_of_an_earlier_split_are_not_counted(trainer):
    folder = validation_folder(trainer)
    folder.mkdir()
    stale = folder / f"{CASES[2]}.nii.gz"
    stale.write_bytes(b"not even an image")
    trainer.perform_actual_validation()
    cases = json.loads((folder / "summary.json").read_text())["metric_per_case"]
    assert sorted(Path(c["prediction_file"]).name for c in cases) == sorted(f"{case}.nii.gz" for case in VAL)
    assert stale.read_bytes() == b"not even an image"


@pytest.mark.parametrize("enabled", [True, False])
def test_deep_supervision_is_afterwards_as_it_was(enabled, trainer):
    trainer.set_deep_supervision_enabled(enabled)
    trainer.perform_actual_validation()
    assert trainer.network.decoder.deep_supervision is enabled


def test_deep_supervision_is_restored_after_an_error(trainer, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(final_validation, "export_prediction_from_logits", fail)
    with pytest.raises(WorkerError, match=f"{VAL[0]}.*no space left"):
        trainer.perform_actual_validation()
    assert trainer.network.decoder.deep_supervision is True


def test_cases_go_through_the_data_set_class_of_the_moment(trainer):
    loaded = []

    class Watched(nnUNetDatasetBlosc2):
        def load_case(self, identifier):
            loaded.append(identifier)
            return super().load_case(identifier)

    trainer.dataset_class = Watched
    trainer.perform_actual_validation()
    assert loaded == VAL


def test_cases_are_shared_out_among_processes(monkeypatch):
    monkeypatch.setattr(final_validation, "world_size", lambda: 2)
    shares = []
    for rank in (0, 1):
        monkeypatch.setattr(final_validation, "rank", lambda rank=rank: rank)
        shares.append(final_validation.cases_of_this_process(list("abcde")))
    assert shares == [["a", "c", "e"], ["b", "d"]]


def cascade_plans() -> dict:
    """``tiny`` is followed by ``second``, which uses the same preprocessed cases."""
    plans = tiny_plans()
    plans["configurations"]["tiny"]["next_stage"] = "second"
    plans["configurations"]["second"] = {
        "inherits_from": "tiny",
        "previous_stage": "tiny",
        "next_stage": None,
        "architecture": architecture(),
    }
    return plans


def test_the_first_stage_of_a_cascade_feeds_the_second(preprocessed, folders):
    torch.manual_seed(3)
    dataset_json = dataset_json_of(folders)
    plans = cascade_plans()
    first = TinyTrainer(plans, "tiny", 0, dataset_json, device=CPU)
    first.initialize()
    first.perform_actual_validation()
    (preprocessed / "splits_final.json").write_text(json.dumps([{"train": VAL, "val": VAL}]))
    second = TinyTrainer(plans, "second", 0, dataset_json, device=CPU)
    second.initialize()
    assert second.is_cascaded
    assert Path(second.folder_with_segs_from_previous_stage) == Path(
        first.output_folder_base, "predicted_next_stage", "second"
    )
    data, _, previous, _ = second.dataset_of(VAL).load_case(VAL[0])
    assert previous.shape == data.shape[1:]
    image, _ = final_validation.network_input(second, second.dataset_of(VAL), VAL[0])
    assert image.shape == (4, *data.shape[1:])  # two channels, two foreground labels
    assert torch.equal(image[3] == 1, torch.from_numpy(np.asarray(previous[:]) == 2))
    second.num_epochs = second.num_iterations_per_epoch = second.num_val_iterations_per_epoch = 1
    second.run_training()
    second.perform_actual_validation()
    assert (validation_folder(second) / "summary.json").is_file()


def test_a_next_stage_without_the_case_is_reported_and_left_out(preprocessed, folders):
    plans = cascade_plans()
    plans["configurations"]["second"]["data_identifier"] = "nowhere"
    trainer = TinyTrainer(plans, "tiny", 0, dataset_json_of(folders), device=CPU)
    trainer.initialize()
    trainer.perform_actual_validation()
    assert "nnUNetv2_preprocess -c second" in Path(trainer.log_file).read_text()
    assert not Path(trainer.output_folder_base, "predicted_next_stage").exists()


@pytest.mark.parametrize("where", ["prediction", "export"])
def test_a_case_that_fails_is_named_and_listed_and_the_others_are_predicted(where, trainer, monkeypatch):
    def failing(real):
        def call(*args, **kwargs):
            if VAL[0] in str(args):
                raise ZeroDivisionError("on purpose")
            return real(*args, **kwargs)

        return call

    name = {"prediction": "network_input", "export": "export_prediction_from_logits"}[where]
    with monkeypatch.context() as patch:
        patch.setattr(final_validation, name, failing(getattr(final_validation, name)))
        with pytest.raises(CaseFailures, match=rf"1 of 2 cases failed.*\n.*{VAL[0]} failed: ZeroDivisionError"):
            trainer.perform_actual_validation()
    folder = validation_folder(trainer)
    assert {p.name for p in folder.iterdir()} == {f"{VAL[1]}.nii.gz", "failed_cases.json"}
    listing = json.loads((folder / "failed_cases.json").read_text())["Final validation"]
    assert list(listing["failed"]) == [VAL[0]]
    trainer.perform_actual_validation()
    assert {p.name for p in folder.iterdir()} == {f"{case}.nii.gz" for case in VAL} | {"summary.json"}
