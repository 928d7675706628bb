"""Times the training batches of whatever nnunetv2 is installed beside this Python: ``loader_probe.py JOB RESULT``.

Run by ``loader.py``; uses only names that both implementations have. JOB and RESULT are JSON files.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def training_batches(job: dict):
    """Endless training batches of the default trainer, made in this process."""
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    plans = dict(json.loads(Path(job["plans"]).read_text()), continue_training=False)
    dataset_json = json.loads(Path(job["dataset_json"]).read_text())
    trainer = nnUNetTrainer(plans, job["configuration"], "all", dataset_json, device=torch.device("cpu"))
    trainer.initialize()
    batches, _ = trainer.get_dataloaders()
    return batches


def describe(batch: dict, labels: int) -> list[dict]:
    """Mean, standard deviation and quantiles of each sample of a batch, and the share of each label."""
    target = batch["target"][0] if isinstance(batch["target"], (list, tuple)) else batch["target"]
    found = []
    for image, label in zip(batch["data"].numpy(), target.numpy()):
        numbers = {"mean": image.mean(), "deviation": image.std()}
        numbers |= {f"quantile {q}": v for q, v in zip(QUANTILES, np.quantile(image, QUANTILES))}
        numbers |= {f"share of label {value}": (label == value).mean() for value in range(labels)}
        found.append({name: float(number) for name, number in numbers.items()})
    return found


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    batches = training_batches(job)
    random.seed(job["seed"])
    np.random.seed(job["seed"])
    torch.manual_seed(job["seed"])
    seconds, samples, shapes = [], [], set()
    for index in range(job["untimed"] + job["batches"]):
        start = time.perf_counter()
        batch = next(batches)
        took = time.perf_counter() - start
        if index >= job["untimed"]:
            seconds.append(took)
        samples += describe(batch, job["labels"])
        shapes.add(tuple(batch["data"].shape))
    result = {"seconds": seconds, "samples": samples, "shapes": sorted(shapes)}
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
