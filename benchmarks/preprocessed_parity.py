"""Preprocess the raw cases that golden files exist for and print how far our result is from them.

Usage: python benchmarks/preprocessed_parity.py SHARED_FOLDER [--all]

SHARED_FOLDER holds ``data`` (raw data sets) and ``golden`` (what the reference made of them). Without ``--all`` only
cases stored in full are compared; with it also the statistics of every case. Exits with 1 if anything exceeds the
tolerances: 1e-4 for intensities, none for labels, locations and properties.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.records.files import read_json
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

DATA_TOLERANCE = 1e-4


def golden_folders(shared: Path) -> list[Path]:
    """Folders ``golden/<data set>/preprocessed/<configuration>``."""
    return sorted(path.parent for path in shared.glob("golden/Dataset*/preprocessed/*/summary.json"))


def preprocess(shared: Path, golden_folder: Path, case: str):
    """``(data, seg, properties)`` of one raw case with the golden plans."""
    dataset, configuration = golden_folder.parents[1], golden_folder.name
    plans = PlansManager(str(dataset / "nnUNetPlans.json"))
    if configuration not in plans.available_configurations:
        plans = PlansManager(str(dataset / "nnUNetPlans_edited.json"))
    dataset_json = read_json(dataset / "dataset.json")
    files = get_filenames_of_train_images_and_targets(str(shared / "data" / dataset.name), dataset_json)[case]
    return DefaultPreprocessor(verbose=False).run_case(
        files["images"], files["label"], plans, plans.get_configuration(configuration), dataset_json
    )


def compare_case(golden_folder: Path, case: str, data, seg, properties) -> tuple[float, int, list[str]]:
    """Largest intensity error, number of different labels, and the names of everything else that differs."""
    golden = np.load(golden_folder / f"{case}.npz")
    if data.shape != golden["data"].shape:
        return float("inf"), seg.size, [f"shape {data.shape}, golden {golden['data'].shape}"]
    different = []
    for key in golden.files:
        if key.startswith("class_locations_"):
            found = properties["class_locations"][int(key.removeprefix("class_locations_"))]
            if not np.array_equal(found, golden[key]):
                different.append(key)
    for key, value in read_json(golden_folder / f"{case}.properties.json").items():
        if _plain(properties.get(key)) != value:
            different.append(key)
    error = float(np.abs(data.astype(np.float64) - golden["data"]).max())
    return error, int((seg != golden["seg"]).sum()), different


def compare_summary(entry: dict, data, seg) -> tuple[float, list[str]]:
    """Largest error of mean, std, min, max, and the names of what must be equal and is not."""
    different = [] if list(data.shape) == entry["shape"] else ["shape"]
    labels, counts = np.unique(seg, return_counts=True)
    if {str(int(label)): int(n) for label, n in zip(labels, counts)} != entry["label_counts"]:
        different.append("label_counts")
    error = 0.0
    for name in ("mean", "std", "min", "max"):
        ours = [float(getattr(channel.astype(np.float64), name)()) for channel in data]
        error = max(error, float(np.abs(np.subtract(ours, entry[name])).max()))
    return error, different


def _plain(value):
    """As JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def main(argv: list[str] | None = None) -> int:
    """Compare and print; 0 if everything is within the tolerances."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and golden/")
    parser.add_argument("--all", action="store_true", help="also compare the statistics of every case")
    arguments = parser.parse_args(argv)
    failed = False
    print(
        f"{'data set':30} {'configuration':20} {'cases':>5} {'max |data error|':>17} {'labels':>7}  other differences"
    )
    for folder in golden_folders(arguments.shared):
        summary = read_json(folder / "summary.json")
        in_full = sorted(path.stem for path in folder.glob("*.npz"))
        cases = sorted(summary) if arguments.all else in_full
        error, labels, other = 0.0, 0, []
        for case in cases:
            result = preprocess(arguments.shared, folder, case)
            case_error, different = compare_summary(summary[case], *result[:2])
            if case in in_full:
                full_error, wrong, more = compare_case(folder, case, *result)
                case_error, labels, different = max(case_error, full_error), labels + wrong, different + more
            error = max(error, case_error)
            other += [f"{case}: {name}" for name in different]
        print(
            f"{folder.parents[1].name:30} {folder.name:20} {len(cases):5d} {error:17.2e} {labels:7d}  {other or 'none'}"
        )
        failed |= error > DATA_TOLERANCE or labels > 0 or bool(other)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
