"""The published FLARE24 command, started for real and ended from outside once its first epoch has begun."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from nnunetv2.preprocessing.preprocessors.foreground_locations import sample_foreground_locations
from nnunetv2.records.files import write_json
from nnunetv2.storage.blosc2_store import nnUNetDatasetBlosc2
from nnunetv2.training.checkpoint import read_checkpoint

ROOT = Path(__file__).resolve().parents[2]
MODEL = "nnUNetTrainer_Epoch2000_Lr1e3__nnUNetPlans__3d_fullres_S4D2W32"
DATASET = "Dataset024_FLARE24_Task1"


def write_preprocessed_stand_in(folder: Path) -> None:
    """The published plans and dataset.json, and two preprocessed cases of noise with a lesion."""
    data = folder / "nnUNetPlans_3d_fullres"
    data.mkdir(parents=True)
    published = ROOT / "nnUNet_results" / DATASET / MODEL
    shutil.copy(published / "plans.json", folder / "nnUNetPlans.json")
    shutil.copy(published / "dataset.json", folder / "dataset.json")
    write_json(folder / "dataset_fingerprint.json", {})
    rng = np.random.RandomState(0)
    for case in ("FLARE_0001", "FLARE_0002"):
        image = rng.normal(size=(1, 100, 130, 134)).astype(np.float32)
        seg = np.zeros(image.shape, np.int16)
        seg[:, 40:60, 50:70, 50:70] = 1
        image[seg == 1] += 2
        properties = {"spacing": [3.0, 2.0, 2.0], "class_locations": sample_foreground_locations(seg, [1])}
        nnUNetDatasetBlosc2.save_case(image, seg, properties, str(data / case))


def wait_for(text: str, folder: Path, process: subprocess.Popen, seconds: float) -> str:
    """Content of the training log once it holds ``text``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        logs = list(folder.glob("training_log_*.txt"))
        content = logs[0].read_text() if logs else ""
        if text in content:
            return content
        assert process.poll() is None, f"the training ended with {process.returncode}"
        time.sleep(0.5)
    raise AssertionError(f"{text!r} did not appear within {seconds} s")


@pytest.mark.slow
def test_the_published_command_trains_and_saves_itself_when_terminated(folders):
    write_preprocessed_stand_in(folders["nnUNet_preprocessed"] / DATASET)
    command = [str(Path(sys.executable).parent / "nnUNetv2_train"), "24", "3d_fullres_S4D2W32", "all"]
    command += ["-tr", "nnUNetTrainer_Epoch2000_Lr1e3", "-device", "cpu"]
    process = subprocess.Popen(command, env={**os.environ, "nnUNet_n_proc_DA": "0"}, stdout=subprocess.DEVNULL)
    fold = folders["nnUNet_results"] / DATASET / MODEL / "fold_all"
    try:
        log = wait_for("Current learning rate", fold, process, 240)
        time.sleep(5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=240) == 143
    finally:
        process.kill()
    assert "Current learning rate: 0.001 " in log
    checkpoint = read_checkpoint(fold / "checkpoint_latest.pth")
    assert checkpoint["trainer_name"] == "nnUNetTrainer_Epoch2000_Lr1e3"
    assert checkpoint["current_epoch"] == 0
    assert checkpoint["inference_allowed_mirroring_axes"] == (0, 1, 2)
    distinct = {tensor.data_ptr(): tensor.numel() for tensor in checkpoint["network_weights"].values()}
    assert sum(distinct.values()) == 5_602_950
