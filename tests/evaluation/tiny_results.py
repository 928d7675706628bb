"""A data set of tiny label maps and the validation predictions of models trained on it, written without training."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tests.evaluation.conftest import write_label_map

DATASET = "Dataset995_Selection"
SHAPE = (4, 7, 6)
SPLIT = {0: ["a", "b"], 1: ["c", "d"]}
PROPERTIES = {
    "sitk_stuff": {"spacing": (2.0, 1.0, 3.0), "origin": (0.0, 0.0, 0.0), "direction": (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1)},
    "spacing": [3.0, 1.0, 2.0],
}


def dataset_json(labels: Mapping | None = None, regions_class_order: Sequence[int] | None = None) -> dict:
    content = {
        "channel_names": {"0": "CT"},
        "labels": labels or {"background": 0, "shell": 1, "core": 2},
        "numTraining": 4,
        "file_ending": ".nii.gz",
    }
    return content if regions_class_order is None else {**content, "regions_class_order": list(regions_class_order)}


def plans(dataset: str = DATASET) -> dict:
    configurations = {
        "2d": {"data_identifier": "nnUNetPlans_2d"},
        "3d_lowres": {"data_identifier": "nnUNetPlans_3d_lowres", "next_stage": "3d_cascade_fullres"},
        "3d_fullres": {"data_identifier": "nnUNetPlans_3d_fullres"},
        "3d_cascade_fullres": {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"},
    }
    return {
        "dataset_name": dataset,
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "configurations": configurations,
    }


def write_documents(folder: Path, dataset: dict | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(dataset or dataset_json()))
    (folder / "plans.json").write_text(json.dumps(plans()))


def reference(case: str) -> np.ndarray:
    """A box of label 1 around a box of label 2, somewhere else in each case."""
    array = np.zeros(SHAPE, dtype=np.uint8)
    start = "abcd".index(case) % 2
    array[1:4, 1 : 4 + start, 1:5] = 1
    array[2:3, 2:3, 2 : 4 + start] = 2
    return array


def as_probabilities(labels: np.ndarray, heads: int = 3, certainty: float = 0.75) -> np.ndarray:
    """Float32 (C, Z, Y, X) whose argmax is ``labels``; all values are exact in binary."""
    others = (1 - certainty) / (heads - 1)
    return np.where(np.arange(heads)[:, None, None, None] == labels, certainty, others).astype(np.float32)


def write_prediction(folder: Path, case: str, labels: np.ndarray, probabilities: np.ndarray | bool = True) -> None:
    """Segmentation, and unless ``probabilities`` is False also .npz and .pkl."""
    write_label_map(folder / f"{case}.nii.gz", labels)
    if probabilities is not False:
        array = as_probabilities(labels) if probabilities is True else probabilities
        np.savez_compressed(folder / f"{case}.npz", probabilities=array)
        (folder / f"{case}.pkl").write_bytes(pickle.dumps(PROPERTIES))


def write_references(folders: Mapping[str, Path]) -> None:
    """labelsTr, plans and dataset.json of the data set; ``folders`` as the fixture of that name gives them."""
    raw, preprocessed = folders["nnUNet_raw"] / DATASET, folders["nnUNet_preprocessed"] / DATASET
    for case in "abcd":
        write_label_map(raw / "labelsTr" / f"{case}.nii.gz", reference(case))
    preprocessed.mkdir()
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans()))
    (preprocessed / "dataset.json").write_text(json.dumps(dataset_json()))


def write_model(
    folders: Mapping[str, Path],
    configuration: str,
    predict: Callable[[str], np.ndarray] = reference,
    split: Mapping[int | str, Sequence[str]] = SPLIT,
    npz: bool = True,
) -> Path:
    """Model folder with the validation of all folds in ``split``; ``predict`` maps a case to its label map."""
    folder = folders["nnUNet_results"] / DATASET / f"nnUNetTrainer__nnUNetPlans__{configuration}"
    write_documents(folder)
    for fold, cases in split.items():
        for case in cases:
            write_prediction(folder / f"fold_{fold}" / "validation", case, predict(case), npz)
    return folder


def with_errors(count: int) -> Callable[[str], np.ndarray]:
    """A prediction in which the first ``count`` voxels of label 1 are missing."""

    def predict(case: str) -> np.ndarray:
        array = reference(case)
        array.flat[np.flatnonzero(array == 1)[:count]] = 0
        return array

    return predict
