"""Writing dataset.json from the files of a raw folder that has none: channels and labels found, names by number."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from os.path import isdir, isfile, join
from typing import Any

import numpy as np

from nnunetv2.experiment_planning.integrity_of_cases import count_values
from nnunetv2.imageio.builtin_readers import BUILTIN_READERS
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending
from nnunetv2.records.files import write_json
from nnunetv2.records.findings import DatasetFinding
from nnunetv2.records.layout import DATASET_JSON, IMAGES_TR, LABELS_TR, files_with_ending
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.utils import split_channel_suffix


def description_from_files(folder: str, num_processes: int) -> dict[str, Any] | None:
    """Content of dataset.json for the images and label maps in ``folder``; None when there are no images.

    The ending is the most frequent one in imagesTr that a reader knows. Channels are those of the first case, the
    labels all values of all label maps. Raises CaseFailures naming label maps that cannot be read.
    """
    images, labels = join(folder, IMAGES_TR), join(folder, LABELS_TR)
    ending = _ending(images) if isdir(images) else None
    if ending is None:
        return None
    names = files_with_ending(images, ending)
    cases = sorted({(split_channel_suffix(name, ending) or (name[: -len(ending)], 0))[0] for name in names})
    own = [name for name in names if (split_channel_suffix(name, ending) or (name[: -len(ending)],))[0] == cases[0]]
    reader = determine_reader_writer_from_file_ending(ending, join(images, own[0]), verbose=False)
    channels = sum(len(reader().read_images([join(images, name)])[0]) for name in own)
    files = (
        [(name, (reader, join(labels, name))) for name in files_with_ending(labels, ending)] if isdir(labels) else []
    )
    values = set().union(*map_cases(_values, files, num_processes, what="reading label values").values())
    foreground = sorted(int(value) for value in values if value > 0 and value == int(value))
    return {
        "channel_names": {str(i): f"channel_{i}" for i in range(channels)},
        "labels": {"background": 0} | {f"label_{value}": value for value in foreground},
        "numTraining": len(cases),
        "file_ending": ending,
    }


def write_missing_description(folder: str, target_folder: str, num_processes: int) -> DatasetFinding | None:
    """Write dataset.json into ``target_folder`` if ``folder`` has none; the finding says so. None: nothing to do."""
    if isfile(join(folder, DATASET_JSON)) or not isdir(folder):
        return None
    content = description_from_files(folder, num_processes)
    if content is None:
        return None
    path = join(target_folder, DATASET_JSON)
    write_json(path, content, sort_keys=False)
    found = (
        f"{len(content['channel_names'])} channel(s) and the labels {', '.join(map(str, content['labels'].values()))}"
    )
    return DatasetFinding(
        severity="warning", kind="dataset.json written", file=path, key="file", value="missing",
        reason=f"it was written from the files: {found}, named by their numbers",
        remedy="give channels and labels their names; the channel name CT chooses the normalization for CT",
    )  # fmt: skip


def _values(reader: Any, file: str) -> Sequence[float]:
    return [value for value in count_values(reader().read_seg(file)[0]) if np.isfinite(value)]


def _ending(folder: str) -> str | None:
    known = {ending for reader in BUILTIN_READERS.values() for ending in reader.file_endings}
    found: Counter[str] = Counter()
    for name in os.listdir(folder):
        fits = [ending for ending in known if name.lower().endswith(ending) and not name.startswith(".")]
        if fits:
            found[name[-len(max(fits, key=len)) :]] += 1
    return min(found, key=lambda ending: (-found[ending], ending)) if found else None
