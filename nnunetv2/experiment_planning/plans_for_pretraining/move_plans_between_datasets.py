"""Plans of one data set for another: for pretraining on one and fine-tuning on the other with the same network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from os.path import isfile, join
from typing import Any

from nnunetv2.cli.arguments import command_parser
from nnunetv2.cli.commands import command
from nnunetv2.errors import MissingFileError
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.files import copy_file, read_json, write_json
from nnunetv2.records.layout import DATASET_JSON, plans_file
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

logger = logging.getLogger(__name__)


def plans_under_new_name(
    plans: Mapping[str, Any], dataset_name: str, identifier: str, reader_name: str
) -> dict[str, Any]:
    """``plans`` for another data set and under another identifier; spacing, statistics and all else stay.

    Data folders of the source must not be mistaken for the target's, so data identifiers follow the new identifier.
    """
    old = plans["plans_name"]
    configurations = {
        name: {**entry, "data_identifier": _renamed(entry["data_identifier"], old, identifier)}
        if "data_identifier" in entry
        else dict(entry)
        for name, entry in plans["configurations"].items()
    }
    return {
        **plans,
        "dataset_name": dataset_name,
        "plans_name": identifier,
        "image_reader_writer": reader_name,
        "configurations": configurations,
    }


def _renamed(data_identifier: str, old: str, new: str) -> str:
    if old == new:
        return data_identifier
    if data_identifier.startswith(old):
        return new + data_identifier[len(old) :]
    return f"{new}_{data_identifier}"


def move_plans_between_datasets(
    source_dataset_name_or_id: int | str,
    target_dataset_name_or_id: int | str,
    source_plans_identifier: str,
    target_plans_identifier: str | None = None,
) -> None:
    """Write the source's plans into the preprocessed folder of the target data set.

    The target keeps its own reader. Its dataset.json is copied beside the plans if it is not there, so that
    preprocessing can follow. Raises MissingFileError (an AssertionError) when the source has no such plans.
    """
    source, target = (
        str(maybe_convert_to_dataset_name(name)) for name in (source_dataset_name_or_id, target_dataset_name_or_id)
    )
    identifier = target_plans_identifier or source_plans_identifier
    path = plans_file(join(nnUNet_preprocessed, source), source_plans_identifier)
    if not isfile(path):
        raise MissingFileError(f"{path} does not exist; plan the source data set first, or correct -s and -sp")
    plans = read_json(path)
    raw, preprocessed = join(nnUNet_raw, target), join(nnUNet_preprocessed, target)
    dataset_json = read_json(join(raw, DATASET_JSON))
    _warn_about_channels(plans, channel_names_of(dataset_json, join(raw, DATASET_JSON)), path, target)
    example = next(iter(get_filenames_of_train_images_and_targets(raw, dataset_json).values()))["images"][0]
    reader = determine_reader_writer_from_dataset_json(dataset_json, example, allow_nonmatching_filename=True)
    moved = plans_under_new_name({**plans, "plans_name": source_plans_identifier}, target, identifier, reader.__name__)
    write_json(plans_file(preprocessed, identifier), moved, sort_keys=False)
    if not isfile(join(preprocessed, DATASET_JSON)):
        copy_file(join(raw, DATASET_JSON), join(preprocessed, DATASET_JSON))
    logger.info("%s", plans_file(preprocessed, identifier))


def _warn_about_channels(plans: Mapping[str, Any], names: Mapping[str, str], path: str, target: str) -> None:
    counts = {
        len(entry["normalization_schemes"])
        for entry in plans["configurations"].values()
        if "normalization_schemes" in entry
    }
    if counts and counts != {len(names)}:
        logger.warning(
            "%s is for %s image channel(s), but %s has %d (%s); preprocessing with these plans will fail or mix up "
            "channels",
            path,
            " or ".join(str(count) for count in sorted(counts)),
            target,
            len(names),
            ", ".join(names.values()),
        )


@command
def entry_point_move_plans_between_datasets(argv: Sequence[str] | None = None) -> None:
    """Command nnUNetv2_move_plans_between_datasets."""
    parser = command_parser("nnUNetv2_move_plans_between_datasets", "Use the plans of one data set for another.")
    parser.add_argument("-s", type=str, required=True, metavar="DATASET", help="source data set: id or name")
    parser.add_argument("-t", type=str, required=True, metavar="DATASET", help="target data set: id or name")
    parser.add_argument("-sp", type=str, required=True, metavar="PLANS", help="identifier of the source's plans")
    parser.add_argument(
        "-tp",
        type=str,
        default=None,
        metavar="PLANS",
        help="identifier under which the target gets them; default as -sp",
    )
    args = parser.parse_args(argv)
    move_plans_between_datasets(args.s, args.t, args.sp, args.tp)
