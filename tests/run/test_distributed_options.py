"""Options of a training in a group of two processes: all end in the same epoch, and a seed gives the same losses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nnunetv2.run.run_training import get_trainer_from_args, maybe_load_checkpoint
from nnunetv2.training.checkpoint import read_checkpoint
from nnunetv2.training.interruption import TimeIsUp
from nnunetv2.training.options import TrainingOptions
from tests.training.gloo_processes import run_in_processes
from tests.training.tiny_training import DATASET


def _trained(rank: int, continued: bool, **options) -> tuple[bool, int, list[float]]:
    """Whether the time was up, the number of epochs done, and their losses."""
    trainer = get_trainer_from_args(997, "tiny", 0, "TinyTrainer", device="cpu", options=TrainingOptions(**options))
    maybe_load_checkpoint(trainer, continued, False)
    if options.get("patience"):
        # From the third epoch on nothing gets better.
        trainer._best_ema = None
        log = trainer.logger.log
        trainer.logger.log = lambda key, value, step: log(key, 1.0 / (1 + step) if "mean_fg" in key else value, step)
    try:
        trainer.run_training()
        up = False
    except TimeIsUp:
        up = True
    return up, trainer.current_epoch, list(trainer.logger.get_value("train_losses"))


def _all_options(rank: int) -> dict[str, tuple]:
    seeded = {"seed": 4, "epochs": 3}
    return {
        "in one go": _trained(rank, False, **seeded, batch_size=4),
        "out of time": _trained(rank, False, **seeded, max_hours=1e-9 if rank else 99.0, batch_size=2),
        "continued": _trained(rank, True, **seeded, batch_size=2),
        "again": _trained(rank, False, **seeded, batch_size=2),
        "patience": _trained(rank, False, epochs=9, patience=2),
    }


@pytest.mark.slow
def test_seed_patience_and_time_work_in_two_processes(preprocessed, folders, tiny_trainer_by_name):
    first, second = run_in_processes(_all_options, 2)
    assert first == second
    assert first["out of time"][:2] == (True, 1)  # one of them was out of time
    assert first["continued"][:2] == (False, 3)
    assert first["continued"][2] == first["again"][2]
    assert first["continued"][2][:1] == first["out of time"][2]
    assert first["in one go"][2] != first["again"][2]
    assert first["patience"][:2] == (False, 3)


LAUNCH = """
from nnunetv2.run.distributed_launch import launch
from nnunetv2.run.training_request import TrainingRequest
from nnunetv2.training.options import TrainingOptions

if __name__ == "__main__":
    launch(
        TrainingRequest(
            dataset_name_or_id=997, configuration="tiny", fold=0, trainer_class_name="TinyTrainer", device="cpu",
            options=TrainingOptions(seed=4, epochs=1000),
        ),
        2,
        backend="gloo",
    )
"""


@pytest.mark.slow
def test_a_signal_for_the_launcher_reaches_the_processes_which_save(
    preprocessed, folders, tiny_trainer_by_name, tmp_path
):
    script = tmp_path / "launch.py"
    script.write_text(LAUNCH)
    process = subprocess.Popen(
        [sys.executable, str(script)], env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
    )
    fold = folders["nnUNet_results"] / DATASET / "TinyTrainer_ep1000_seed4__nnUNetPlans__tiny" / "fold_0"
    deadline = time.monotonic() + 120
    while not any(": Epoch 2 " in path.read_text() for path in fold.glob("training_log_*.txt")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 138, errors
    assert read_checkpoint(Path(fold, "checkpoint_latest.pth"))["current_epoch"] >= 2
