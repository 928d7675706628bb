"""Which cases a raw data set has, and which files belong to each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from os.path import join
from typing import Any

from nnunetv2.errors import DatasetError
from nnunetv2.records import layout
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.files import read_json


def split_channel_suffix(file_name: str, file_ending: str) -> tuple[str, int] | None:
    """Case and channel number from ``<case>_<4 digits><file_ending>``; None for another name."""
    match = re.fullmatch(r"(.+)_(\d{4})" + re.escape(file_ending), file_name)
    return (match.group(1), int(match.group(2))) if match else None


def _channel_files(folder: str, file_ending: str) -> dict[str, list[str]]:
    """Sorted cases to their sorted channel files (names). Raises DatasetError for a file without a channel number."""
    cases: dict[str, list[str]] = {}
    strange = []
    for name in layout.files_with_ending(folder, file_ending):
        parts = split_channel_suffix(name, file_ending)
        if parts is None:
            strange.append(name)
        else:
            cases.setdefault(parts[0], []).append(name)
    if strange:
        raise DatasetError(
            f"{folder}: {len(strange)} file(s) lack the channel number _0000, _0001, ... before {file_ending}: "
            f"{', '.join(strange[:10])}{' ...' if len(strange) > 10 else ''}. Rename them, such as "
            f"{layout.channel_file_name(strange[0][: -len(file_ending)], 0, file_ending)}"
        )
    return {case: sorted(cases[case]) for case in sorted(cases)}


def get_identifiers_from_splitted_dataset_folder(folder: str, file_ending: str) -> list[str]:
    """Sorted case names in a folder of channel files."""
    return list(_channel_files(folder, file_ending))


def create_paths_fn(folder: str, files: Sequence[str], file_ending: str, f: str) -> list[str]:
    """Sorted paths of the channel files of case ``f`` among the names ``files``."""
    own = [name for name in files if (split_channel_suffix(name, file_ending) or ("",))[0] == f]
    return [join(folder, name) for name in sorted(own)]


def create_lists_from_splitted_dataset_folder(
    folder: str, file_ending: str, identifiers: Iterable[str] | None = None, num_processes: int = 1
) -> list[list[str]]:
    """For every case (all of ``folder``, or ``identifiers`` in their order) the paths of its channel files, sorted.

    ``num_processes`` is accepted for the sake of existing calls; one pass over the folder needs no processes.
    """
    cases = _channel_files(folder, file_ending)
    wanted = list(cases) if identifiers is None else [str(i) for i in identifiers]
    return [[join(folder, name) for name in cases.get(case, [])] for case in wanted]


def get_filenames_of_train_images_and_targets(
    raw_dataset_folder: str, dataset_json: Mapping[str, Any] | None = None
) -> dict[str, dict[str, Any]]:
    """All training cases: ``{case: {"images": [paths in channel order], "label": path}}``.

    With a ``dataset`` entry in dataset.json these lists are used, in their order: environment variables are expanded,
    relative paths start at the raw folder. Otherwise imagesTr is scanned and cases come sorted. The given
    ``dataset_json`` is not changed. Raises DatasetError when there is no imagesTr, or no case in it.
    """
    source = join(raw_dataset_folder, layout.DATASET_JSON)
    if dataset_json is None:
        dataset_json = read_json(source)
    record = DatasetJson.from_json(dataset_json, source)
    if record.dataset is not None:
        return {case: _explicit_case(raw_dataset_folder, entry, case, source) for case, entry in record.dataset.items()}
    folder = join(raw_dataset_folder, layout.IMAGES_TR)
    if not os.path.isdir(folder):
        raise DatasetError(f"{folder} does not exist; put the training images there, or list them in dataset.json")
    cases = _channel_files(folder, record.file_ending)
    if not cases:
        raise DatasetError(f"{folder} has no files ending with {record.file_ending!r} (the file_ending of {source})")
    labels = join(raw_dataset_folder, layout.LABELS_TR)
    return {
        case: {"images": [join(folder, name) for name in names], "label": join(labels, case + record.file_ending)}
        for case, names in cases.items()
    }


def _explicit_case(root: str, entry: Mapping[str, Any], case: str, source: str) -> dict[str, Any]:
    def path(text: str) -> str:
        return os.path.abspath(join(root, os.path.expandvars(text)))

    try:
        return {"images": [path(image) for image in entry["images"]], "label": path(entry["label"])}
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{source}: dataset.{case} needs 'images' (a list of files) and 'label' (a file)") from error
