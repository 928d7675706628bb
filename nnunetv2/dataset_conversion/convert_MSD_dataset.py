"""Data sets of the Medical Segmentation Decathlon: 4D images become one file per channel, dataset.json is rewritten."""

from __future__ import annotations

import os
import re
from os.path import isdir, join
from pathlib import Path

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.dataset_conversion.image_files import copy_complete, write_channels
from nnunetv2.dataset_conversion.new_dataset import dataset_name, new_raw_dataset, require_free_number
from nnunetv2.dataset_conversion.v1_description import FILE_ENDING, described_as_v2
from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.files import PathLike, read_json, write_json
from nnunetv2.records.layout import DATASET_JSON, IMAGES_TR, IMAGES_TS, LABELS_TR, channel_file_name, files_with_ending
from nnunetv2.utilities.executors import map_cases


def parse_task_name(folder: PathLike) -> tuple[int, str]:
    """Number and name from a folder ``Task04_Hippocampus``. Raises UsageError for another name."""
    name = os.path.basename(os.path.abspath(folder))
    match = re.fullmatch(r"Task(\d+)_([^_]+)", name)
    if not match:
        raise UsageError(f"{name!r} is no folder of the Decathlon; these look like Task04_Hippocampus, with one '_'")
    return int(match[1]), match[2]


def convert_msd_dataset(
    source_folder: PathLike, overwrite_target_id: int | None = None, num_processes: int | None = None
) -> str:
    """Convert the data set in ``source_folder`` and return the new folder ``nnUNet_raw/DatasetXXX_Name``.

    Parameters
    ----------
    source_folder : ``TaskNN_Name`` with dataset.json, imagesTr, labelsTr and, optionally, imagesTs.
    overwrite_target_id : number of the new data set; default is that of the task.
    num_processes : worker processes; default is ``nnUNet_def_n_proc`` or 8.

    Raises DatasetError when the number is taken, files are missing or do not fit each other. Nothing remains then.
    """
    source = Path(source_folder)
    task, name = parse_task_name(source)
    target_name = dataset_name(task if overwrite_target_id is None else overwrite_target_id, name)
    description_file = join(source, DATASET_JSON)
    description = read_json(description_file)
    cases = _training_cases(source)
    converted = described_as_v2(description, description_file, len(cases))
    require_free_number(target_name)
    channels = len(converted["channel_names"])
    parts = {IMAGES_TR: cases}
    if isdir(source / IMAGES_TS):
        parts[IMAGES_TS] = _cases_in(source / IMAGES_TS)
    with new_raw_dataset(target_name) as target:
        jobs = [(f"{part}/{case}", (source, target, part, case, channels)) for part in parts for case in parts[part]]
        for part in (*parts, LABELS_TR):
            (target / part).mkdir()
        workers = default_num_processes() if num_processes is None else num_processes
        map_cases(_convert_case, jobs, workers, what="converting images")
        write_json(target / DATASET_JSON, converted, sort_keys=False)
    return join(nnUNet_raw, target_name)


def _cases_in(folder: Path) -> list[str]:
    names = files_with_ending(str(folder), FILE_ENDING)
    return [name[: -len(FILE_ENDING)] for name in names if not name.startswith("_")]


def _training_cases(source: Path) -> list[str]:
    """Cases with image and label. Raises when a folder is missing, or one of the two is."""
    for part in (IMAGES_TR, LABELS_TR):
        if not isdir(source / part):
            raise MissingFileError(f"{source / part} does not exist; the folder of a Decathlon task has {IMAGES_TR}, "
                                   f"{LABELS_TR} and {DATASET_JSON}")  # fmt: skip
    images, labels = _cases_in(source / IMAGES_TR), _cases_in(source / LABELS_TR)
    if not images:
        raise DatasetError(f"{source / IMAGES_TR} has no {FILE_ENDING} files")
    alone = sorted(set(images) ^ set(labels))
    if alone:
        raise DatasetError(
            f"{source}: {len(alone)} case(s) have an image or a label only: {', '.join(alone[:10])}. Add what is "
            "missing, or remove the rest of the case"
        )
    return images


def _convert_case(source: Path, target: Path, part: str, case: str, channels: int) -> None:
    write_channels(
        source / part / f"{case}{FILE_ENDING}",
        [target / part / channel_file_name(case, channel, FILE_ENDING) for channel in range(channels)],
    )
    if part == IMAGES_TR:
        label = f"{case}{FILE_ENDING}"
        copy_complete(source / LABELS_TR / label, target / LABELS_TR / label)
