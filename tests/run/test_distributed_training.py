"""Training in several gloo processes on the CPU: same numbers as in one, same files, and one error when they differ."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nnunetv2.errors import UsageError
from nnunetv2.run import distributed_launch
from nnunetv2.run import run_training as module
from nnunetv2.run.run_training import find_free_network_port, run_training
from nnunetv2.run.training_request import TrainingRequest
from nnunetv2.training import distributed as groups
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.distributed import gather_objects, rank, share_of_batch, world_size
from tests.training.gloo_processes import run_in_processes
from tests.training.tiny_training import CPU, DATASET, TINY_TRAINER_FILE, TinyTrainer, dataset_json_of, tiny_plans

GLOBAL_BATCH = 4
STEPS = 3
QUIET = {"OMP_NUM_THREADS": "1", "GOMP_SPINCOUNT": "0", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def _trainer(dataset_json: dict, batch_dice: bool) -> TinyTrainer:
    plans = tiny_plans()
    plans["configurations"]["tiny"] |= {"batch_size": GLOBAL_BATCH, "batch_dice": batch_dice}
    return TinyTrainer(plans, "tiny", 0, dataset_json, device=CPU)


def _fixed_batch(step: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Data and targets at the two resolutions with deep supervision, the same in every process."""
    generator = torch.Generator().manual_seed(step)
    data = torch.randn(GLOBAL_BATCH, 2, 16, 16, 16, generator=generator)
    target = torch.randint(0, 3, (GLOBAL_BATCH, 1, 16, 16, 16), generator=generator).float()
    return data, [target, target[:, :, ::2, ::2, ::2]]


def _train_both_ways(_: int, dataset_json: dict, start: str) -> list[tuple]:
    return [_train_on_fixed_batches(dataset_json, start, batch_dice) for batch_dice in (True, False)]


def _train_on_fixed_batches(dataset_json: dict, start: str, batch_dice: bool) -> tuple:
    """Mean loss of the group per step, and the weights after all; each rank takes its slice of every batch."""
    trainer = _trainer(dataset_json, batch_dice)
    trainer.load_checkpoint(start)
    trainer.network.train()
    sizes = [share_of_batch(GLOBAL_BATCH, 0.33, r, world_size())[0] for r in range(world_size())]
    own = slice(sum(sizes[: rank()]), sum(sizes[: rank() + 1]))
    assert trainer.batch_size == sizes[rank()]
    losses = []
    for step in range(STEPS):
        data, targets = _fixed_batch(step)
        loss = trainer.train_step({"data": data[own], "target": [t[own] for t in targets]})["loss"]
        losses.append(float(np.mean(gather_objects(float(loss)))))
    weights = module_weights(trainer)
    return losses, {name: tensor.numpy() for name, tensor in weights.items()}


def module_weights(trainer) -> dict[str, torch.Tensor]:
    network = getattr(trainer.network, "module", trainer.network)
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_processes_learn_the_same_from_the_same_samples_as_one(processes, preprocessed, folders, tmp_path):
    dataset_json, start = dataset_json_of(folders), str(tmp_path / "start.pth")
    first = _trainer(dataset_json, True)
    first.initialize()
    before = module_weights(first)
    first.save_checkpoint(start)
    alone = _train_both_ways(0, dataset_json, start)
    for outcome in run_in_processes(_train_both_ways, processes, dataset_json, start):
        for (losses, weights), (other_losses, other_weights) in zip(alone, outcome):
            np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
            change = max(float(np.abs(weights[name] - before[name].numpy()).max()) for name in weights)
            apart = max(float(np.abs(other_weights[name] - weights[name]).max()) for name in weights)
            assert apart < 1e-5 < change / 100
            loss_apart = np.abs(np.subtract(other_losses, losses)).max()
            sys.stdout.write(f"loss {losses[-1]:.6f} +- {loss_apart:.1e}; weights moved {change:.1e}, +- {apart:.1e}\n")


# Commands under torchrun


@pytest.fixture
def fold_folder(preprocessed, folders, tiny_trainer_by_name, monkeypatch) -> Path:
    """Where fold 0 is trained; batches of four samples."""
    path = preprocessed / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["tiny"]["batch_size"] = 4
    path.write_text(json.dumps(plans))
    monkeypatch.setattr(module, "use_threads_for", lambda device: None)
    return folders["nnUNet_results"] / DATASET / f"{tiny_trainer_by_name}__nnUNetPlans__tiny" / "fold_0"


def torchrun(processes: int, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(processes)]
    command += ["--master_port", str(find_free_network_port()), "-m", "nnunetv2.run.run_training", *arguments]
    return subprocess.run(command, env=os.environ | QUIET, capture_output=True, text=True, timeout=180)


def one_by_one(commands: list[list[str]], variables: list[dict[str, str]]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of processes that meet by environment variables, as on several machines."""
    shared = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(find_free_network_port()), "LOCAL_RANK": "0"}
    shared["WORLD_SIZE"] = str(len(commands))
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "nnunetv2.run.run_training", *arguments],
            env=os.environ | QUIET | shared | {"RANK": str(number)} | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, (arguments, own) in enumerate(zip(commands, variables))
    ]
    outputs = [process.communicate(timeout=180) for process in started]
    return [(process.returncode, *output) for process, output in zip(started, outputs)]


def epochs_of_trainer(tmp_path: Path, number: int) -> None:
    source = TINY_TRAINER_FILE.replace("num_epochs = 2", f"num_epochs = {number}")
    (tmp_path / "trainers" / "tiny_trainer.py").write_text(source)


def files_below(folder: Path) -> list[str]:
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    return sorted(re.sub(r"log_[\d_]+", "log", name) for name in names)


@pytest.mark.slow
def test_torchrun_with_four_processes_trains_and_validates_one_model(fold_folder, tiny_trainer_by_name, tmp_path):
    arguments = ["997", "tiny", "0", "-tr", tiny_trainer_by_name, "-device", "cpu"]
    run_training(997, "tiny", 0, tiny_trainer_by_name, device="cpu")
    expected = files_below(fold_folder.parent)
    fold_folder.parent.rename(tmp_path / "from_one_process")
    done = torchrun(4, *arguments)
    assert done.returncode == 0, done.stderr
    assert files_below(fold_folder.parent) == expected
    content = read_checkpoint(fold_folder / "checkpoint_final.pth")
    assert content["current_epoch"] == 2
    assert len(content["logging"]["train_losses"]) == 2
    assert not [name for name in content["network_weights"] if name.startswith("module.")]
    (log,) = fold_folder.glob("training_log_*.txt")
    assert log.read_text().count(": Epoch 1 ") == 1
    cases = json.loads((fold_folder / "validation" / "summary.json").read_text())["metric_per_case"]
    assert [Path(case["prediction_file"]).name for case in cases] == ["tiny_000.nii.gz", "tiny_005.nii.gz"]


@pytest.mark.slow
def test_checkpoints_go_from_one_process_to_two_and_back(fold_folder, tiny_trainer_by_name, tmp_path):
    arguments = ["997", "tiny", "0", "-tr", tiny_trainer_by_name, "-device", "cpu"]
    run_training(997, "tiny", 0, tiny_trainer_by_name, device="cpu", skip_validation=True)
    one = read_checkpoint(fold_folder / "checkpoint_final.pth")
    epochs_of_trainer(tmp_path, 3)
    done = torchrun(2, *arguments, "--c", "--skip_validation")
    assert done.returncode == 0, done.stderr
    two = read_checkpoint(fold_folder / "checkpoint_final.pth")
    epochs_of_trainer(tmp_path, 4)
    run_training(997, "tiny", 0, tiny_trainer_by_name, device="cpu", continue_training=True, skip_validation=True)
    back = read_checkpoint(fold_folder / "checkpoint_final.pth")
    assert [content["current_epoch"] for content in (one, two, back)] == [2, 3, 4]
    losses = [content["logging"]["train_losses"] for content in (one, two, back)]
    assert losses[1][:2] == losses[0]
    assert losses[2][:3] == losses[1]
    assert list(one["network_weights"]) == list(two["network_weights"])
    assert all(two["optimizer_state"]["state"][0]["momentum_buffer"].flatten() != 0)


OWN_LOSS = """
    def _build_loss(self):
        loss = super()._build_loss()
        loss.loss.weight_ce = {factor}
        return loss
"""


Setup = tuple[dict[str, str], dict[str, str]]


def _other_plans_and_loss(folders: dict[str, Path], tmp_path: Path) -> Setup:
    """The second machine has its own copies of the preprocessed data, with another batch size, and of the trainer."""
    root, trainers = tmp_path / "second_data", tmp_path / "second_trainers"
    shutil.copytree(folders["nnUNet_preprocessed"], root)
    path = root / DATASET / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["tiny"]["batch_size"] = 6
    path.write_text(json.dumps(plans))
    trainers.mkdir()
    (tmp_path / "trainers" / "tiny_trainer.py").write_text(TINY_TRAINER_FILE + OWN_LOSS.format(factor=1))
    (trainers / "tiny_trainer.py").write_text(TINY_TRAINER_FILE + OWN_LOSS.format(factor=2))
    return {}, {"nnUNet_preprocessed": str(root), "nnUNet_extTrainer": str(trainers)}


def _other_trainer_and_configuration(folders: dict[str, Path], tmp_path: Path) -> Setup:
    path = folders["nnUNet_preprocessed"] / DATASET / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["tiny_too"] = {"inherits_from": "tiny"}
    path.write_text(json.dumps(plans))
    return {"configuration": "tiny_too", "trainer": "nnUNetTrainer_5epochs"}, {}


def _no_data(folders: dict[str, Path], tmp_path: Path) -> Setup:
    (tmp_path / "empty").mkdir()
    return {}, {"nnUNet_preprocessed": str(tmp_path / "empty")}


FAULTS = {
    "plans and code of the loss": (
        _other_plans_and_loss,
        ["plans: configurations: tiny: batch_size: 4 on rank 0, 6 on rank 1", "code of TinyTrainer: "],
    ),
    "trainer and configuration": (
        _other_trainer_and_configuration,
        ["trainer: TinyTrainer on rank 0, nnUNetTrainer_5epochs on rank 1", "configuration: tiny on rank 0, tiny_too"],
    ),
    "missing data": (_no_data, ["There is no data set 997", "empty"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_ranks_that_disagree_end_with_one_error_each(fault, fold_folder, folders, tiny_trainer_by_name, tmp_path):
    spoil, messages = FAULTS[fault]
    usual = {"configuration": "tiny", "trainer": tiny_trainer_by_name}
    other, variables = spoil(folders, tmp_path)
    commands = [
        ["997", names["configuration"], "0", "-tr", names["trainer"], "-device", "cpu"]
        for names in (usual, usual | other)
    ]
    for status, _, errors in one_by_one(commands, [{}, variables]):
        assert status == 1, errors
        assert errors.count("Error: ") == 1
        assert "Traceback" not in errors
        for message in messages:
            assert message in errors
    assert not list(fold_folder.glob("*.pth"))


@pytest.mark.slow
def test_an_error_of_started_processes_arrives_as_it_was_raised(fold_folder, tiny_trainer_by_name):
    request = TrainingRequest(
        dataset_name_or_id=997, configuration="tinny", fold=0, trainer_class_name=tiny_trainer_by_name, device="cpu"
    )
    with pytest.raises(ValueError, match="tinny"):
        distributed_launch.launch(request, 2, backend="gloo")


# The seat of a process


def _set(monkeypatch, **variables: str) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_the_number_on_the_machine_is_not_the_number_in_the_group(monkeypatch):
    _set(monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", MASTER_ADDR="a", MASTER_PORT="1")
    seat = distributed_launch.seat_from_environment()
    assert (seat.rank, seat.local_rank, seat.world_size, seat.meeting_point) == (5, 1, 8, "env://")
    assert module.started_by_torchrun()


def test_one_process_needs_no_group(monkeypatch):
    _set(monkeypatch, RANK="0", WORLD_SIZE="1")
    assert not module.started_by_torchrun()
    _set(monkeypatch)
    assert not module.started_by_torchrun()


def test_missing_variables_of_the_rendezvous_are_named(monkeypatch):
    _set(monkeypatch, RANK="0", WORLD_SIZE="2")
    with pytest.raises(UsageError, match="LOCAL_RANK, MASTER_ADDR, MASTER_PORT not"):
        run_training(997, "tiny", 0, device="cpu")
    _set(monkeypatch, RANK="first", WORLD_SIZE="2", LOCAL_RANK="0", MASTER_ADDR="a", MASTER_PORT="1")
    with pytest.raises(UsageError, match="RANK=first"):
        run_training(997, "tiny", 0, device="cpu")


def test_processes_are_not_started_twice(monkeypatch):
    _set(monkeypatch, RANK="0", WORLD_SIZE="2")
    with pytest.raises(UsageError, match="Leave out -num_gpus"):
        run_training(997, "tiny", 0, num_gpus=2)


def test_the_first_process_of_the_second_machine_uses_its_first_gpu(monkeypatch):
    monkeypatch.setattr(groups, "is_distributed", lambda: True)
    monkeypatch.setattr(groups.distributed, "get_rank", lambda: 8)
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert (groups.rank(), groups.local_rank()) == (8, 0)
    monkeypatch.delenv("LOCAL_RANK")
    assert groups.local_rank() == 8
