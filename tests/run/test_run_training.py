"""``nnUNetv2_train`` and the functions behind it, on a data set of a few voxels."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.configuration import available_cpus
from nnunetv2.errors import CheckpointError, UsageError
from nnunetv2.run import run_training as module
from nnunetv2.run.run_training import (
    find_free_network_port,
    get_trainer_from_args,
    maybe_load_checkpoint,
    run_training,
    run_training_entry,
    training_parser,
)
from nnunetv2.training.checkpoint import read_checkpoint, write_checkpoint
from tests.training.tiny_training import DATASET, SPLITS

FLAGS = {
    "dataset_name_or_id": None,
    "configuration": None,
    "fold": None,
    "-tr": "nnUNetTrainer",
    "-p": "nnUNetPlans",
    "-pretrained_weights": None,
    "-num_gpus": 1,
    "--npz": False,
    "--c": False,
    "--val": False,
    "--val_best": False,
    "--disable_checkpointing": False,
    "--skip_validation": False,
    "--use_compressed": False,
    "-device": "cuda",
    **dict.fromkeys(("--epochs", "--iterations-per-epoch", "--lr", "--patience", "--seed", "--batch-size")),
    **dict.fromkeys(("--class-weights", "--max-hours", "--precision", "--keep-checkpoints", "--nonfinite")),
    "--channels-last": False,
    "--augment-on-device": False,
    "--trust-pickle": False,
}


def train(trainer: str, *more: str, fold: str = "0", configuration: str = "tiny") -> None:
    run_training_entry(["997", configuration, fold, "-tr", trainer, "-device", "cpu", *more])


@pytest.fixture
def fold_folder(preprocessed, folders, tiny_trainer_by_name, monkeypatch) -> Path:
    """Where a training of fold 0 writes; everything it needs is in place."""
    monkeypatch.setattr(module, "use_threads_for", lambda device: None)  # tests share the CPUs with others
    return folders["nnUNet_results"] / DATASET / f"{tiny_trainer_by_name}__nnUNetPlans__tiny" / "fold_0"


def logs(folder: Path) -> str:
    return "".join(p.read_text() for p in sorted(folder.glob("training_log_*.txt")))


def test_the_command_line_is_the_recorded_one():
    actions = [a for a in training_parser()._actions if a.dest != "help"]
    found = {(a.option_strings or [a.dest])[0]: a.default for a in actions}
    assert found == FLAGS


def test_help_answers_at_once():
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "from nnunetv2.run.run_training import *; training_parser()"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "torch" not in done.stderr
    assert time.perf_counter() - start < 30


def test_a_training_can_be_run_resumed_and_validated(fold_folder, tiny_trainer_by_name):
    train(tiny_trainer_by_name, "--npz", "--use_compressed")
    case = SPLITS[0]["val"][0]
    validation = fold_folder / "validation"
    assert {f"{case}.nii.gz", f"{case}.npz", f"{case}.pkl", "summary.json"} <= {p.name for p in validation.iterdir()}
    assert read_checkpoint(fold_folder / "checkpoint_final.pth")["current_epoch"] == 2
    assert "Yayy!" in logs(fold_folder)

    # Training done: continuing runs no further epoch.
    train(tiny_trainer_by_name, "--c", "--skip_validation")
    assert logs(fold_folder).count(": Epoch 1 ") == 1
    assert logs(fold_folder).count("Training done.") == 2

    first = (validation / f"{case}.nii.gz").read_bytes()
    for path in validation.iterdir():
        path.unlink()
    train(tiny_trainer_by_name, "--val")
    assert (validation / "summary.json").is_file()
    assert not (validation / f"{case}.npz").exists()
    assert (validation / f"{case}.nii.gz").read_bytes() == first
    assert logs(fold_folder).count("Training done.") == 2


def test_continuing_prefers_final_over_latest_over_best(fold_folder, tiny_trainer_by_name):
    trainer = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    trainer.initialize()
    for epoch, name in enumerate(("best", "latest", "final"), start=1):
        trainer.current_epoch = epoch - 1  # the file holds the number of the next epoch
        for values in trainer.logger.my_fantastic_logging.values():
            values[:] = [0.5] * epoch
        trainer.save_checkpoint(str(fold_folder / f"checkpoint_{name}.pth"))
    for epoch, name in ((3, "final"), (2, "latest"), (1, "best")):
        resumed = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device=torch.device("cpu"))
        maybe_load_checkpoint(resumed, True, False)
        assert resumed.current_epoch == epoch
        (fold_folder / f"checkpoint_{name}.pth").unlink()
    anew = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    maybe_load_checkpoint(anew, True, False)
    assert anew.current_epoch == 0
    assert not anew.was_initialized
    assert "starting anew" in Path(anew.log_file).read_text()


def test_val_best_predicts_with_the_best_weights(fold_folder, tiny_trainer_by_name):
    trainer = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    trainer.inference_allowed_mirroring_axes = None
    trainer.initialize()
    final, best = fold_folder / "checkpoint_final.pth", fold_folder / "checkpoint_best.pth"
    trainer.save_checkpoint(str(final))
    content = read_checkpoint(final)
    # The best weights predict label 1 everywhere.
    for name, tensor in content["network_weights"].items():
        if ".seg_layers." in name:
            tensor.zero_()
            if name.endswith("bias"):
                tensor[1] = 5
    write_checkpoint(best, content)
    train(tiny_trainer_by_name, "--val", "--val_best")
    summary = json.loads((fold_folder / "validation" / "summary.json").read_text())
    assert summary["mean"]["1"]["FN"] == 0
    assert summary["mean"]["1"]["TN"] == 0


def test_all_trains_and_validates_on_every_case(fold_folder, tiny_trainer_by_name):
    train(tiny_trainer_by_name, fold="all")
    folder = fold_folder.with_name("fold_all")
    assert (folder / "checkpoint_final.pth").is_file()
    assert len(json.loads((folder / "validation" / "summary.json").read_text())["metric_per_case"]) == 6


def test_pretrained_weights_are_the_start_of_a_training(fold_folder, tiny_trainer_by_name):
    source = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    source.initialize()
    file = fold_folder.parent / "pretrained.pth"
    source.save_checkpoint(str(file))
    target = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    maybe_load_checkpoint(target, False, False, str(file))
    ours, theirs = target.network.state_dict(), source.network.state_dict()
    same = {name: torch.equal(tensor, theirs[name]) for name, tensor in ours.items()}
    assert all(value for name, value in same.items() if ".seg_layers." not in name)
    assert not any(value for name, value in same.items() if ".seg_layers." in name and name.endswith("weight"))
    assert target.current_epoch == 0


OLD = """
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class WrittenForOldRelease(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, unpack_dataset=True, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, unpack_dataset, device)
        self.num_epochs = self.num_iterations_per_epoch = self.num_val_iterations_per_epoch = 1

    @staticmethod
    def build_network_architecture(
        plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision=True
    ):
        return nnUNetTrainer.build_network_architecture(
            plans_manager, dataset_json, configuration_manager, num_input_channels, enable_deep_supervision
        )

    def on_epoch_end(self):
        assert self.logger.my_fantastic_logging["train_losses"]
        super().on_epoch_end()
"""
NEW = """
import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class WrittenForNewRelease(nnUNetTrainer):
    def __init__(self, plans, configuration, fold, dataset_json, device=torch.device("cuda")):
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.num_epochs = self.num_iterations_per_epoch = self.num_val_iterations_per_epoch = 1

    @staticmethod
    def build_network_architecture(
        plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True
    ):
        return nnUNetTrainer.build_network_architecture(
            plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision
        )
"""


@pytest.mark.parametrize(("name", "source"), [("WrittenForOldRelease", OLD), ("WrittenForNewRelease", NEW)])
def test_trainers_of_either_era_train_and_validate(name, source, fold_folder, tmp_path, monkeypatch):
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "a_trainer.py").write_text(source)
    monkeypatch.setenv("nnUNet_extTrainer", str(folder))
    train(name)
    results = fold_folder.parents[1] / f"{name}__nnUNetPlans__tiny" / "fold_0"
    content = read_checkpoint(results / "checkpoint_final.pth")
    assert content["trainer_name"] == name
    assert ("unpack_dataset" in content["init_args"]) is (name == "WrittenForOldRelease")
    assert (results / "validation" / "summary.json").is_file()


def test_the_flare24_trainer_is_found_in_the_package(fold_folder):
    trainer = get_trainer_from_args(DATASET, "tiny", "all", "nnUNetTrainer_Epoch2000_Lr1e3", device="cpu")
    assert (trainer.num_epochs, trainer.initial_lr, trainer.fold) == (2000, 1e-3, "all")


@pytest.mark.parametrize("epochs", ["1epoch", "5epochs", "250epochs", "8000epochs"])
def test_trainers_of_other_lengths_are_found_in_the_package(epochs, fold_folder):
    trainer = get_trainer_from_args(997, "tiny", "1", f"nnUNetTrainer_{epochs}", device="cpu")
    assert trainer.num_epochs == int(epochs.rstrip("epochs"))
    assert trainer.fold == 1


def test_the_sixth_argument_may_be_a_device_as_in_2_6(fold_folder, tiny_trainer_by_name):
    trainer = get_trainer_from_args("997", "tiny", 0, tiny_trainer_by_name, "nnUNetPlans", torch.device("cpu"))
    assert trainer.device == torch.device("cpu")


# fault, arguments after the data set, what the message says
def _remove_plans(base: Path) -> None:
    (base / "nnUNetPlans.json").unlink()


def _break_plans(base: Path) -> None:
    (base / "nnUNetPlans.json").write_text('{"configurations": {')


def _misfit_patch(base: Path) -> None:
    plans = json.loads((base / "nnUNetPlans.json").read_text())
    plans["configurations"]["tiny"]["patch_size"] = [16, 16, 15]
    (base / "nnUNetPlans.json").write_text(json.dumps(plans))


def _remove_cases(base: Path) -> None:
    for path in (base / "nnUNetPlans_tiny").iterdir():
        path.unlink()


def _nothing(base: Path) -> None:
    pass


FAULTS = {
    "unknown data set": (_nothing, ["996", "tiny", "0"], "996"),
    "no plans": (_remove_plans, ["997", "tiny", "0"], "nnUNetv2_plan_experiment -d 997"),
    "damaged plans": (_break_plans, ["997", "tiny", "0"], "nnUNetPlans.json is not valid JSON"),
    "unknown plans": (_nothing, ["997", "tiny", "0", "-p", "otherPlans"], "nnUNetPlans"),
    "unknown configuration": (_nothing, ["997", "3d_fulres", "0"], "3d_fulres"),
    "unknown trainer": (_nothing, ["997", "tiny", "0", "-tr", "nnUNetTrainr"], "nnUNetTrainr"),
    "patch that does not fit": (_misfit_patch, ["997", "tiny", "0"], "not divisible"),
    "no preprocessed cases": (_remove_cases, ["997", "tiny", "0"], "nnUNetv2_preprocess -d 997"),
    "no fold number": (_nothing, ["997", "tiny", "first"], "first"),
    "negative fold": (_nothing, ["997", "tiny", "-1"], "a number from 0"),
    "validation of an unfinished training": (_nothing, ["997", "tiny", "0", "--val"], "checkpoint_final.pth"),
    "continue and validate": (_nothing, ["997", "tiny", "0", "--c", "--val"], "exclude"),
    "continue with other weights": (_nothing, ["997", "tiny", "0", "--c", "-pretrained_weights", "x"], "--c"),
    "best of nothing": (_nothing, ["997", "tiny", "0", "--val_best", "--disable_checkpointing"], "--val_best"),
    "missing weights": (_nothing, ["997", "tiny", "0", "-pretrained_weights", "nowhere.pth"], "nowhere.pth"),
    "several CPUs": (_nothing, ["997", "tiny", "0", "-num_gpus", "2"], "-num_gpus"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_one_readable_error(fault, fold_folder, preprocessed, capsys):
    spoil, arguments, message = FAULTS[fault]
    spoil(preprocessed)
    with pytest.raises(SystemExit) as exit_info:
        run_training_entry([*arguments, "-device", "cpu"])
    stderr = capsys.readouterr().err
    assert "Traceback" not in stderr
    assert exit_info.value.code == 1
    assert stderr.startswith("Error: ")
    assert message in stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_missing_gpu_is_said_before_training(fold_folder, tiny_trainer_by_name, capsys):
    with pytest.raises(SystemExit):
        run_training_entry(["997", "tiny", "0", "-tr", tiny_trainer_by_name])
    assert "-device cpu" in capsys.readouterr().err


def test_a_damaged_checkpoint_ends_a_continued_training_and_stays(fold_folder, tiny_trainer_by_name, capsys):
    fold_folder.mkdir(parents=True)
    (fold_folder / "checkpoint_final.pth").write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(SystemExit):
        train(tiny_trainer_by_name, "--c")
    assert "checkpoint_final.pth" in capsys.readouterr().err
    assert (fold_folder / "checkpoint_final.pth").read_bytes() == b"PK\x03\x04 not a checkpoint"


def test_maybe_load_checkpoint_refuses_what_does_not_go_together(fold_folder, tiny_trainer_by_name):
    trainer = get_trainer_from_args(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    with pytest.raises(UsageError):
        maybe_load_checkpoint(trainer, True, True)
    with pytest.raises(RuntimeError):
        maybe_load_checkpoint(trainer, True, False, "weights.pth")
    with pytest.raises(CheckpointError, match="not finished"):
        maybe_load_checkpoint(trainer, False, True)


def test_a_free_port_can_be_bound():
    with socket.socket() as probe:
        probe.bind(("localhost", find_free_network_port()))


def test_training_on_the_cpu_uses_all_of_it():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        module.use_threads_for("cpu")
        assert torch.get_num_threads() == available_cpus()
    finally:
        torch.set_num_threads(before)


def test_convolution_settings_are_given_back():
    before = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    with module.fast_convolutions():
        pass
    assert (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic) == before


@pytest.mark.slow
def test_two_processes_train_one_model(fold_folder, tiny_trainer_by_name):
    from nnunetv2.run.distributed_launch import launch
    from nnunetv2.run.training_request import TrainingRequest

    request = TrainingRequest(
        dataset_name_or_id=997,
        configuration="tiny",
        fold=0,
        trainer_class_name=tiny_trainer_by_name,
        device="cpu",
    )
    launch(request, 2, backend="gloo")
    content = read_checkpoint(fold_folder / "checkpoint_final.pth")
    assert content["current_epoch"] == 2
    assert not [name for name in content["network_weights"] if name.startswith("module.")]
    assert len(json.loads((fold_folder / "validation" / "summary.json").read_text())["metric_per_case"]) == 2
    assert logs(fold_folder).count(": Epoch 1 ") == 1
    assert np.isfinite(content["logging"]["train_losses"]).all()


def test_several_gpus_are_refused_where_there_are_fewer(fold_folder, tiny_trainer_by_name):
    if torch.cuda.device_count() > 63:
        pytest.skip("this machine has 64 GPUs")
    with pytest.raises(UsageError, match="GPU"):
        run_training(997, "tiny", 0, tiny_trainer_by_name, num_gpus=64)
    assert not os.path.exists(fold_folder)
