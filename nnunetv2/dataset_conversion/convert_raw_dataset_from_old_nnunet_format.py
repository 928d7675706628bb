"""Raw data sets of nnU-Net v1: the same images, another dataset.json."""

from __future__ import annotations

from os.path import isdir, join
from pathlib import Path

from nnunetv2.dataset_conversion.image_files import copy_complete
from nnunetv2.dataset_conversion.new_dataset import new_raw_dataset, require_free_number, require_valid_name
from nnunetv2.dataset_conversion.v1_description import FILE_ENDING, described_as_v2
from nnunetv2.errors import DatasetError, MissingFileError
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.files import PathLike, read_json, write_json
from nnunetv2.records.layout import (
    CHANNEL_SUFFIX_LENGTH,
    DATASET_JSON,
    IMAGES_TR,
    IMAGES_TS,
    LABELS_TR,
    LABELS_TS,
    files_with_ending,
)

_OPTIONAL_FOLDERS = (IMAGES_TS, LABELS_TS, "imagesVal", "labelsVal")


def convert(source_folder: PathLike, target_dataset_name: str) -> str:
    """Copy a data set ``TaskXXX_Name`` of nnU-Net v1 to ``nnUNet_raw/target_dataset_name`` in the form of v2.

    Returns the new folder. Raises UsageError for a name that is not like Dataset004_Hippocampus, or is taken, and
    DatasetError when files are missing. Nothing remains then.
    """
    require_valid_name(target_dataset_name)
    require_free_number(target_dataset_name, allowed=target_dataset_name)
    source = Path(source_folder)
    description_file = join(source, DATASET_JSON)
    description = read_json(description_file)
    files = {part: _images_in(source / part) for part in (IMAGES_TR, LABELS_TR)}
    files |= {part: _images_in(source / part) for part in _OPTIONAL_FOLDERS if isdir(source / part)}
    converted = described_as_v2(description, description_file, len(files[LABELS_TR]), drop_unread=True)
    _require_complete_cases(source, files, len(converted["channel_names"]))
    with new_raw_dataset(target_dataset_name) as target:
        for part, names in files.items():
            (target / part).mkdir()
            for name in names:
                copy_complete(source / part / name, target / part / name)
        write_json(target / DATASET_JSON, converted, sort_keys=False)
    return join(nnUNet_raw, target_dataset_name)


def _images_in(folder: Path) -> list[str]:
    if not isdir(folder):
        raise MissingFileError(f"{folder} does not exist; a data set of nnU-Net v1 has {IMAGES_TR} and {LABELS_TR}")
    return files_with_ending(str(folder), FILE_ENDING)


def _require_complete_cases(source: Path, files: dict[str, list[str]], channels: int) -> None:
    images = set(files[IMAGES_TR])
    cases = [name[: -len(FILE_ENDING)] for name in files[LABELS_TR]]
    if not cases:
        raise DatasetError(f"{source / LABELS_TR} has no {FILE_ENDING} files")
    expected = {f"{case}_{channel:04d}{FILE_ENDING}" for case in cases for channel in range(channels)}
    missing = sorted(expected - images)
    if missing:
        raise DatasetError(
            f"{source / IMAGES_TR} lacks {len(missing)} file(s) for the {channels} channel(s) of dataset.json: "
            f"{', '.join(missing[:10])}"
        )
    without_label = sorted({name[: -len(FILE_ENDING) - CHANNEL_SUFFIX_LENGTH] for name in images - expected})
    if without_label:
        raise DatasetError(
            f"{source / IMAGES_TR} has images without a label, or of more channels than dataset.json names: "
            f"{', '.join(without_label[:10])}"
        )
