"""Many predictions with one resident predictor from several threads, in a process of their own.

    python -m tests.faults.soak ENGINE PREDICTIONS THREADS FOLDER

Prints JSON: resident memory in MiB after each prediction, and how many results differ from the first of their kind.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from nnunetv2.inference.predictor import nnUNetPredictor
from tests.inference.conftest import labelled_image, make_plans, make_predictor, write_image
from tests.inference.engines.conftest import small_unet, states

SHAPE, PATCH = (40, 56, 48), (16, 32, 32)


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def kinds_of_prediction(predictor: nnUNetPredictor, folder: Path) -> list[Callable[[int], str]]:
    """Functions of a number; each predicts the same image in its own way and returns a digest of the result."""
    image = labelled_image(SHAPE)[1][None] + np.random.default_rng(0).normal(0, 20, SHAPE).astype(np.float32)
    write_image(folder / "case_0000.nii.gz", image[0])

    def array(number: int) -> str:
        return digest(predictor.predict_single_npy_array(image, {"spacing": [1.0, 1.0, 1.0]}))

    def probabilities(number: int) -> str:
        labels, values = predictor.predict_single_npy_array(image, {"spacing": [1.0] * 3}, None, None, True)
        return digest(labels) + digest(values)

    def file(number: int) -> str:
        target = folder / f"result_{number}"
        predictor.predict_from_files([[str(folder / "case_0000.nii.gz")]], [str(target)], False, True, 1, 1)
        written = target.with_name(f"{target.name}.nii.gz")
        content = hashlib.sha256(written.read_bytes()).hexdigest()
        written.unlink()
        return content

    return [array, file, probabilities]


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def main(engine: str, predictions: int, threads: int, folder: Path) -> None:
    """Predict and print."""
    network = small_unet(channels=1)
    plans = make_plans(PATCH)
    predictor = make_predictor(network, plans, parameters=states(2, channels=1), mirroring_axes=(0, 1), engine=engine)
    kinds = kinds_of_prediction(predictor, folder)
    first: dict[int, str] = {}
    different, memory, lock = 0, [], threading.Lock()

    def predict(number: int) -> None:
        nonlocal different
        kind = number % len(kinds)
        found = kinds[kind](number)
        with lock:
            different += first.setdefault(kind, found) != found
            memory.append(round(resident_mib(), 1))

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(predict, range(predictions)))
    print(json.dumps({"memory": memory, "different": different}))


if __name__ == "__main__":
    torch.manual_seed(0)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
