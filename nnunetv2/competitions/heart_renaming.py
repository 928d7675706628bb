"""Rename the files of AI CUP 2025 (heart CT) in place, and describe the data set; all checks come before all changes.

A renaming is atomic and the plan is made from what is there, so a run that was interrupted is simply repeated.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnunetv2.competitions.heart_names import IMAGES, LABELS, PREDICTIONS, Naming, renamings, unpaired
from nnunetv2.errors import CaseFailures, DatasetError, ImageError, IntegrityError, MissingFileError
from nnunetv2.records.layout import (
    DATASET_JSON,
    IMAGES_TR,
    IMAGES_TS,
    LABELS_TR,
    PLANS_JSON,
    PREDICTION_ARGUMENTS_JSON,
    files_with_ending,
)

LABEL_VALUES = {"background": 0, "myocardium": 1, "aortic valve": 2, "calcification": 3}

_DATA_FOLDERS: tuple[tuple[str, Naming], ...] = ((IMAGES_TR, IMAGES), (LABELS_TR, LABELS), (IMAGES_TS, IMAGES))
_BESIDE_PREDICTIONS = (DATASET_JSON, PLANS_JSON, PREDICTION_ARGUMENTS_JSON)


@dataclass(frozen=True)
class Renaming:
    """One file that changes its name within its folder."""

    folder: Path
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.folder / self.old} -> {self.new}"


def plan_data(dataset_folder: Path) -> list[Renaming]:
    """What has to be renamed in imagesTr, labelsTr and imagesTs; folders that do not exist are left out.

    Raises MissingFileError without data set, IntegrityError listing every name that is unknown or would collide.
    """
    if not any((dataset_folder / name).is_dir() for name, _ in _DATA_FOLDERS):
        raise MissingFileError(
            f"{dataset_folder} has none of the folders {IMAGES_TR}, {LABELS_TR} and {IMAGES_TS}. Put the organisers' "
            "files there, or set nnUNet_raw and run this from the project's folder"
        )
    return _plan([(dataset_folder / name, naming) for name, naming in _DATA_FOLDERS], dataset_folder)


def plan_predictions(folder: Path) -> list[Renaming]:
    """What has to be renamed in a folder of predictions; nothing when it does not exist. Raises IntegrityError."""
    return _plan([(folder, PREDICTIONS)], folder, besides=_BESIDE_PREDICTIONS)


def _plan(folders: Sequence[tuple[Path, Naming]], where: Path, besides: Sequence[str] = ()) -> list[Renaming]:
    plan, problems = [], []
    for folder, naming in folders:
        if not folder.is_dir():
            continue
        # Hidden files are marks of this and other programs, never data.
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
        files = [entry.name for entry in entries if entry.is_file() and entry.name not in besides]
        changes, found = renamings(files, naming)
        found += [f"{entry.name} is no file" for entry in entries if not entry.is_file()]
        plan += [Renaming(folder, old, new) for old, new in changes.items()]
        problems += [f"{folder.name}: {problem}" for problem in found]
    if problems:
        raise IntegrityError(f"nothing was renamed: {where}", problems)
    return plan


def carry_out(plan: Sequence[Renaming]) -> None:
    """Rename the files one by one. Raises DatasetError when a file appeared under a new name after planning."""
    for step in plan:
        target = step.folder / step.new
        if os.path.lexists(target):
            raise DatasetError(f"{target} appeared while files were renamed; {step.old} was left. Look at both files")
        os.rename(step.folder / step.old, target)


def describe_data(dataset_folder: Path, num_processes: int) -> dict | None:
    """Content for dataset.json, after a look at every label file; None when there is one, or no training case.

    Works before and after renaming. Raises IntegrityError listing cases without image or label, label files with
    values other than 0 to 3, and files that cannot be read.
    """
    if (dataset_folder / DATASET_JSON).exists():
        return None
    images, labels = (_nifti_files(dataset_folder / name) for name in (IMAGES_TR, LABELS_TR))
    if not images and not labels:
        return None
    problems = [
        f"patient {number} has no {what} in {folder}"
        for (what, numbers), folder in zip(unpaired(images, labels).items(), (LABELS_TR, IMAGES_TR), strict=True)
        for number in numbers
    ]
    problems += _label_problems(dataset_folder / LABELS_TR, labels, num_processes)
    if problems:
        raise IntegrityError(f"nothing was changed, since {DATASET_JSON} cannot be written: {dataset_folder}", problems)
    return {
        "channel_names": {"0": "CT"},
        "labels": dict(LABEL_VALUES),
        "numTraining": len(images),
        "file_ending": ".nii.gz",
        "name": "Heart",
        "description": "AI CUP 2025: myocardium, aortic valve and its calcification in cardiac CT",
    }


def _nifti_files(folder: Path) -> list[str]:
    return files_with_ending(folder, ".nii.gz") if folder.is_dir() else []


def _label_problems(folder: Path, names: Sequence[str], num_processes: int) -> list[str]:
    from nnunetv2.utilities.executors import map_cases

    try:
        map_cases(
            require_known_labels,
            [(name, (str(folder / name),)) for name in names],
            num_processes,
            what="checking the labels",
        )
    except CaseFailures as failures:
        return [str(error) for error in failures.failures.values()]
    return []


def require_known_labels(path: str) -> None:
    """Raise ImageError naming the file when it cannot be read or has values other than those of ``LABEL_VALUES``."""
    import numpy as np

    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    values = np.unique(SimpleITKIO().read_seg(path)[0])
    strange = [f"{value:g}" for value in values if value not in LABEL_VALUES.values()]
    if strange:
        known = ", ".join(f"{value} {name}" for name, value in LABEL_VALUES.items())
        raise ImageError(f"{path} has label value(s) {', '.join(strange[:10])}; known are {known}")
