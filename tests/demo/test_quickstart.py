"""The quick start: its parts, and once from start to end with tiny settings."""

import math
import sys

import pytest
from matplotlib.image import imread

from nnunetv2.demo import quickstart
from nnunetv2.demo.phantom import PhantomSettings
from nnunetv2.demo.phantom_dataset import PhantomDataset
from nnunetv2.demo.quickstart import DATASET, TRAINER, QuickstartSettings, run_quickstart
from nnunetv2.demo.workplace import Workplace
from nnunetv2.errors import UsageError, WorkerError

TINY = QuickstartSettings(
    dataset=PhantomDataset(
        training_cases=5,
        test_cases=1,
        settings=PhantomSettings(shape=(16, 24, 24), spacing=(20.0, 15.0, 15.0), lesion_radius=(30.0, 40.0)),
    ),
    width=2,
    spacing=(20.0, 15.0, 15.0),
    patch_size=(16, 16, 16),
    epochs=1,
    iterations=2,
    validation_iterations=1,
)


def test_the_trainer_file_has_the_numbers_of_the_settings():
    text = quickstart.TRAINER_FILE.format(
        name=TRAINER, epochs=3, iterations=7, validation_iterations=2, learning_rate=0.02
    )
    scope: dict = {}
    exec(compile(text, "trainer", "exec"), scope)
    trainer = scope[TRAINER]
    assert (trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.initial_lr) == (3, 7, 0.02)
    assert trainer.num_val_iterations_per_epoch == 2


def test_a_command_that_fails_stops_the_quick_start(tmp_path, capfd):
    with pytest.raises(WorkerError, match="nnUNetv2_evaluate_simple ended with status 1"):
        Workplace(tmp_path, DATASET).run("nnUNetv2_evaluate_simple", "none", "none", "-l", "1")
    assert "$ nnUNetv2_evaluate_simple none none -l 1" in capfd.readouterr().out


def test_a_missing_installation_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=r"bash install\.sh"):
        Workplace(tmp_path, DATASET).run("nnUNetv2_train")


def test_clearing_removes_results_but_never_the_data_behind_a_link(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "dataset.json").write_text("{}")
    place = Workplace(tmp_path / "work", DATASET)
    for folder in (place.preprocessed, place.predictions, place.raw.parent):
        folder.mkdir(parents=True)
    place.raw.symlink_to(data)
    place.clear()
    assert not place.raw.is_symlink()
    assert not place.preprocessed.exists()
    assert not place.predictions.exists()
    assert (data / "dataset.json").exists()


@pytest.mark.slow
def test_the_main_job_runs_from_start_to_end_over_the_remains_of_an_earlier_run(tmp_path, capfd):
    stale = tmp_path / "predictions" / "old.nii.gz"
    stale.parent.mkdir()
    stale.write_text("from an earlier run")
    dice = run_quickstart(tmp_path, TINY)
    assert math.isnan(dice) or 0 <= dice <= 1
    printed = capfd.readouterr().out
    assert f"Mean Dice of the 1 test cases: {dice:.3f}" in printed
    assert f"Picture: {tmp_path / 'prediction.png'}" in printed
    assert imread(tmp_path / "prediction.png").std() > 0
    model = f"{TRAINER}__nnUNetPlans__3d_fullres_S4D2W2"
    fold = tmp_path / "nnUNet_results" / DATASET / model / "fold_0"
    assert {"checkpoint_final.pth", "progress.png", "validation"} <= {path.name for path in fold.iterdir()}
    assert sorted(path.name for path in (tmp_path / "predictions").glob("*.nii.gz")) == ["phantom_005.nii.gz"]
