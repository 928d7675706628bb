"""Options of ``nnUNetv2_train``: what each does to a training, its folder and its checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.run import run_training as module
from nnunetv2.run.run_training import get_trainer_from_args, run_training_entry
from nnunetv2.training.applied_options import Deadline, has_converged
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.interruption import TimeIsUp
from nnunetv2.training.options import TrainingOptions
from tests.training.tiny_training import DATASET


@pytest.fixture
def results(preprocessed, folders, tiny_trainer_by_name, monkeypatch) -> Path:
    monkeypatch.setattr(module, "use_threads_for", lambda device: None)  # tests share the CPUs with others
    monkeypatch.setenv("nnUNet_n_proc_DA", "0")
    return folders["nnUNet_results"] / DATASET


def train(*words: str, name: str = "TinyTrainer") -> None:
    run_training_entry(["997", "tiny", "0", "-tr", name, "-device", "cpu", "--skip_validation", *words])


def final(results: Path, suffix: str) -> dict:
    return read_checkpoint(results / f"TinyTrainer{suffix}__nnUNetPlans__tiny" / "fold_0" / "checkpoint_final.pth")


def made(**values):
    return get_trainer_from_args(997, "tiny", 0, "TinyTrainer", device="cpu", options=TrainingOptions(**values))


def test_without_options_folder_and_checkpoint_are_as_ever(results):
    train()
    assert sorted(final(results, "")) == sorted(
        ["network_weights", "optimizer_state", "grad_scaler_state", "logging", "_best_ema", "current_epoch"]
        + ["init_args", "trainer_name", "inference_allowed_mirroring_axes"]
    )


def test_options_are_in_the_folder_name_and_the_checkpoint(results):
    train("--epochs", "1", "--iterations-per-epoch", "1", "--lr", "0.003", "--batch-size", "3")
    checkpoint = final(results, "_ep1_it1_lr0.003_bs3")
    assert checkpoint["training_options"] == {"epochs": 1, "iterations_per_epoch": 1, "lr": 0.003, "batch_size": 3}
    assert checkpoint["trainer_name"] == "TinyTrainer"
    assert "training_options" not in checkpoint["init_args"]["plans"]
    assert checkpoint["current_epoch"] == 1
    assert checkpoint["logging"]["lrs"] == [0.003]


def test_options_set_the_attributes_and_leave_the_others(results):
    trainer = made(epochs=7, lr=0.5)
    assert (trainer.num_epochs, trainer.initial_lr) == (7, 0.5)
    assert (trainer.num_iterations_per_epoch, trainer.precision, trainer.channels_last) == (2, None, False)
    larger = made(batch_size=3, iterations_per_epoch=9)
    larger._set_batch_size_and_oversample()
    assert (larger.batch_size, larger.num_iterations_per_epoch, larger.num_epochs) == (3, 9, 2)


def test_precisions_that_need_no_loss_scaling_have_none(results):
    def scaler(**values):
        options = TrainingOptions(**values)
        return get_trainer_from_args(997, "tiny", 0, "TinyTrainer", device="cuda", options=options).grad_scaler

    assert scaler() is not None
    assert scaler(precision="bf16") is None
    assert scaler(precision="f32") is None


def test_options_win_over_values_that_a_constructor_sets(results):
    trainer = get_trainer_from_args(
        997, "tiny", 0, "nnUNetTrainer_Epoch2000_Lr1e3", device="cpu", options=TrainingOptions(epochs=5)
    )
    assert (trainer.num_epochs, trainer.initial_lr) == (5, 1e-3)
    assert Path(trainer.output_folder_base).name == "nnUNetTrainer_Epoch2000_Lr1e3_ep5__nnUNetPlans__tiny"


def test_the_name_of_the_folder_is_a_trainer_for_minus_tr(results):
    trainer = get_trainer_from_args(997, "tiny", 0, "TinyTrainer_ep7_lr0.5", device="cpu")
    assert (trainer.num_epochs, trainer.initial_lr) == (7, 0.5)
    assert Path(trainer.output_folder_base).name == "TinyTrainer_ep7_lr0.5__nnUNetPlans__tiny"


def test_class_weights_weigh_the_cross_entropy(results):
    plain, weighted = made(epochs=1, iterations_per_epoch=1), made(class_weights=(1.0, 2.0, 0.5))
    for trainer in (plain, weighted):
        trainer.initialize()
        module_options(trainer)
    terms = [term for term in weighted.loss.modules() if isinstance(term, nn.CrossEntropyLoss)]
    assert [term.weight.tolist() for term in terms] == [[1.0, 2.0, 0.5]]
    assert all(term.weight is None for term in plain.loss.modules() if isinstance(term, nn.CrossEntropyLoss))


def module_options(trainer) -> None:
    from nnunetv2.training.applied_options import apply_to_initialized

    apply_to_initialized(trainer)


def test_a_wrong_number_of_class_weights_is_refused(results):
    trainer = made(class_weights=(1.0, 2.0))
    trainer.initialize()
    with pytest.raises(UsageError, match="2 numbers, but there are 3 labels"):
        module_options(trainer)


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_seed_gives_the_same_losses_to_the_last_digit(workers, results, monkeypatch):
    monkeypatch.setenv("nnUNet_n_proc_DA", workers)
    losses = []
    for _ in range(2):
        train("--seed", "11")
        logged = final(results, "_seed11")["logging"]
        losses.append((logged["train_losses"], logged["val_losses"], logged["mean_fg_dice"]))
    assert losses[0] == losses[1]


@pytest.mark.slow
def test_another_seed_gives_other_losses(results):
    for seed in ("11", "12"):
        train("--seed", seed)
    first, second = (final(results, f"_seed{seed}")["logging"]["train_losses"] for seed in ("11", "12"))
    assert first != second


def test_a_training_is_continued_with_its_options_only(results, capsys):
    train("--epochs", "1")
    train("--c", "--epochs", "1")
    with pytest.raises(SystemExit):
        train("--c", "--epochs", "2")
    assert "was trained with --epochs 1, but is to be continued with --epochs 2" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        train("--c")
    assert "continued with no options" in capsys.readouterr().err


def test_running_out_of_time_saves_and_ends_with_status_75_and_goes_on(results):
    with pytest.raises(SystemExit) as ended:
        train("--max-hours", "1e-9", "--epochs", "3")
    assert ended.value.code == 75
    fold = results / "TinyTrainer_ep3__nnUNetPlans__tiny" / "fold_0"
    assert read_checkpoint(fold / "checkpoint_latest.pth")["current_epoch"] == 1
    train("--c", "--epochs", "3")
    assert read_checkpoint(fold / "checkpoint_final.pth")["current_epoch"] == 3


def test_the_time_is_up_before_an_epoch_that_would_not_fit(monkeypatch):
    clock = iter([0.0, 40.0, 70.0, 101.0, 101.0])
    monkeypatch.setattr("nnunetv2.training.applied_options.time.monotonic", lambda: next(clock))
    deadline = Deadline(110 / 3600)
    deadline.check()
    deadline.check()
    with pytest.raises(TimeIsUp):
        deadline.check()
    Deadline(None).check()


def test_preparation_takes_from_the_time_but_is_no_epoch(monkeypatch):
    clock = iter([50.0, 60.0, 75.0])
    monkeypatch.setattr("nnunetv2.training.applied_options.time.monotonic", lambda: next(clock))
    deadline = Deadline(80 / 3600, started=0.0)
    deadline.check()  # 60 s are over, and another 10 fit
    with pytest.raises(TimeIsUp):
        deadline.check()


@pytest.mark.parametrize(
    ("values", "ends"),
    [([], False), ([0.1, 0.2], False), ([0.3, 0.2, 0.2], True), ([float("nan")] * 2, True), ([0.3, 0.1, 0.4], False)],
)
def test_patience_counts_epochs_since_the_best_smoothed_dice(values, ends, results):
    trainer = made(patience=2)
    trainer.logger.my_fantastic_logging["ema_fg_dice"] = values
    assert has_converged(trainer) is ends


def test_without_patience_training_goes_on(results):
    trainer = made()
    trainer.logger.my_fantastic_logging["ema_fg_dice"] = [0.5, 0.1, 0.1]
    assert not has_converged(trainer)


@pytest.mark.slow
def test_channels_last_gives_the_losses_of_the_usual_layout_to_rounding(results):
    losses = []
    for words in ([], ["--channels-last"]):
        train("--seed", "3", *words)
        losses.append(final(results, "_seed3")["logging"]["train_losses"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_bf16_trains_on_the_cpu(results):
    train("--seed", "3", "--precision", "bf16", "--channels-last", "--epochs", "1")
    losses = final(results, "_ep1_seed3")["logging"]["train_losses"]
    assert torch.isfinite(torch.tensor(losses)).all()


@pytest.mark.slow
def test_augmentation_on_the_device_trains(results):
    train("--seed", "3", "--augment-on-device")
    assert len(final(results, "_seed3")["logging"]["train_losses"]) == 2


def test_debug_json_and_plans_of_the_model_stay_as_planned(results):
    train("--epochs", "1", "--batch-size", "3")
    folder = results / "TinyTrainer_ep1_bs3__nnUNetPlans__tiny"
    assert json.loads((folder / "plans.json").read_text())["configurations"]["tiny"]["batch_size"] == 2
    assert "epochs=1" in json.loads((folder / "fold_0" / "debug.json").read_text())["training_options"]


def test_a_channels_last_network_goes_through_the_final_validation(results):
    words = ["997", "tiny", "0", "-tr", "TinyTrainer", "-device", "cpu", "--epochs", "1", "--channels-last"]
    run_training_entry(words)
    assert (results / "TinyTrainer_ep1__nnUNetPlans__tiny" / "fold_0" / "validation" / "summary.json").is_file()
