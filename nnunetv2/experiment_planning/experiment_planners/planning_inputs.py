"""What planning starts from, checked before work begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os.path import isfile, join
from typing import Any

from nnunetv2.errors import DatasetError, MissingFileError, UsageError
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.files import PathLike, copy_file, read_json
from nnunetv2.records.fingerprint import Fingerprint
from nnunetv2.records.layout import FINGERPRINT_JSON, SPLITS_JSON
from nnunetv2.utilities.dataset_name_id_conversion import convert_dataset_name_to_id

logger = logging.getLogger(__name__)


def load_dataset_json(path: str) -> dict[str, Any]:
    """dataset.json as it is, once checked that planning finds in it what it needs."""
    content = read_json(path)
    description = DatasetJson.from_json(content, path)
    if description.num_training is None:
        raise DatasetError(f"{path}: the key numTraining is missing; set it to the number of training cases")
    if description.legacy_channel_key:
        logger.warning("%s: 'modality' is the old name of the key 'channel_names'; rename it", path)
    keys = list(description.channel_names)
    if keys != [str(index) for index in range(len(keys))]:
        logger.warning(
            "%s: the keys of channel_names are %s; they should be 0 to %d in this order. Files and statistics are "
            "found by these numbers, normalizations by the order in the file",
            path,
            keys,
            len(keys) - 1,
        )
    return content


def load_fingerprint(folder: PathLike, dataset_name: str) -> dict[str, Any]:
    """Content of dataset_fingerprint.json. Raises MissingFileError (a RuntimeError) saying how to make it."""
    path = join(folder, FINGERPRINT_JSON)
    if not isfile(path):
        number = convert_dataset_name_to_id(dataset_name)
        raise MissingFileError(f"{path} does not exist; make it first: nnUNetv2_extract_fingerprint -d {number}")
    return Fingerprint.load(path).to_json()


def checked_target_spacing(spacing: Sequence[float] | None) -> Sequence[float] | None:
    """``spacing`` as it is, once checked; None stays None. Raises UsageError."""
    if spacing is None:
        return None
    usable = isinstance(spacing, (list, tuple)) and len(spacing) == 3 and all(isinstance(s, float) for s in spacing)
    if not usable or min(spacing) <= 0:
        raise UsageError(
            f"overwrite_target_spacing is {spacing!r}; it must be a list of three floats above 0 (mm per image axis)"
        )
    return spacing


def adopt_raw_splits(raw_dataset_folder: PathLike, preprocessed_dataset_folder: PathLike) -> None:
    """Copy a splits_final.json that comes with the raw data, or check that the one in use agrees with it.

    Raises DatasetError (an AssertionError) when a fold differs.
    """
    source, target = (join(folder, SPLITS_JSON) for folder in (raw_dataset_folder, preprocessed_dataset_folder))
    if not isfile(source):
        return
    if not isfile(target):
        copy_file(source, target)
        return
    given, used = read_json(source), read_json(target)
    for fold, split in enumerate(given):
        same = fold < len(used) and all(set(split[part]) == set(used[fold][part]) for part in ("train", "val"))
        if not same:
            raise DatasetError(
                f"fold {fold} of {source} is not the same as in {target}. Remove the second file to adopt the splits "
                "of the raw data set, or the first to go on with the splits in use"
            )
