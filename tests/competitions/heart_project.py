"""A project folder with heart phantoms under the organisers' names, in which the pipeline runs in seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from nnunetv2.demo.heart_dataset import HeartDataset, write_heart_dataset
from nnunetv2.demo.heart_phantom import HeartPhantomSettings

ROOT = Path(__file__).resolve().parents[2]
DATASET = "Dataset100_Heart"
TRAINER = "nnUNetTrainer_ShortHeart"
TINY = HeartPhantomSettings(shape=(16, 32, 32), spacing=(9.0, 5.5, 5.5))

# All random numbers follow from the epoch, so a training that was interrupted ends with the same network.
TRAINER_FILE = """
import numpy as np
import torch

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class nnUNetTrainer_ShortHeart(nnUNetTrainer):
    num_epochs = 2
    num_iterations_per_epoch = 2
    num_val_iterations_per_epoch = 1
    save_every = 1

    @staticmethod
    def build_network_architecture(
        architecture_class_name,
        arch_init_kwargs,
        arch_init_kwargs_req_import,
        num_input_channels,
        num_output_channels,
        enable_deep_supervision=True,
    ):
        narrow = arch_init_kwargs | {"features_per_stage": [4] * arch_init_kwargs["n_stages"]}
        return nnUNetTrainer.build_network_architecture(
            architecture_class_name,
            narrow,
            arch_init_kwargs_req_import,
            num_input_channels,
            num_output_channels,
            enable_deep_supervision,
        )

    def initialize(self):
        seed(0)
        super().initialize()

    def on_train_epoch_start(self):
        super().on_train_epoch_start()
        seed(1 + self.current_epoch)


def seed(number):
    np.random.seed(number)
    torch.manual_seed(number)
"""


def make_project(folder: Path, training_cases: int = 8, test_cases: int = 2) -> Path:
    """Raw data in ``folder/nnUNet_raw`` and a short trainer in ``folder/trainers``; returns ``folder``."""
    write_heart_dataset(folder / "nnUNet_raw" / DATASET, HeartDataset(training_cases, test_cases, settings=TINY))
    (folder / "trainers").mkdir()
    (folder / "trainers" / f"{TRAINER}.py").write_text(TRAINER_FILE, encoding="utf-8")
    return folder


def environment(project: Path, **more: str) -> dict[str, str]:
    """The machine's variables without nnU-Net's, and the settings of a short run on the CPU."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
    settings = {"DEVICE": "cpu", "TRAINER": TRAINER, "PYTHON": sys.executable}
    small = {"nnUNet_def_n_proc": "1", "nnUNet_n_proc_DA": "0", "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    return inherited | settings | small | {"nnUNet_extTrainer": str(project / "trainers")} | more


@dataclass
class Run:
    """How a run of the script ended: exit status, and when each line of its output came (seconds from the start)."""

    status: int
    lines: list[tuple[float, str]]

    @property
    def output(self) -> str:
        return "".join(line for _, line in self.lines)

    def durations(self) -> dict[str, float]:
        """Seconds from the heading of each step that was worked on to the next line of the script's own."""
        marks = [
            (moment, line) for moment, line in self.lines if line.startswith(("=== ", "--- ", "Members", "2 file"))
        ]
        steps = zip(marks, [*marks[1:], (self.lines[-1][0], "")])
        return {line.split(" (")[0]: after - before for (before, line), (after, _) in steps if line.startswith("===")}


def run_pipeline(project: Path, kill_in: str | None = None, delay: float = 0.0, **more: str) -> Run:
    """Run the script; ``delay`` seconds after the heading ``kill_in`` it and all its children get SIGKILL."""
    with subprocess.Popen(
        ["bash", str(ROOT / "ensemble_pipeline.sh")],
        cwd=project,
        env=environment(project, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        start, lines = time.monotonic(), []
        for line in process.stdout:
            lines.append((time.monotonic() - start, line))
            if kill_in is not None and line.startswith(kill_in + " ("):
                threading.Timer(delay, os.killpg, (process.pid, signal.SIGKILL)).start()
        return Run(process.wait(), lines)
