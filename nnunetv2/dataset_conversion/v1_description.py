"""dataset.json of nnU-Net v1 and of the Medical Segmentation Decathlon, brought into the form of v2."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from nnunetv2.errors import DatasetError, LabelsError

logger = logging.getLogger(__name__)

FILE_ENDING = ".nii.gz"
_LISTS_OF_CASES = ("training", "test")
_UNREAD = ("tensorImageSize", "numTest")


def labels_by_name(labels: Mapping[str, str], source: str) -> dict[str, int]:
    """``{"1": "liver"}`` as ``{"liver": 1}``; the name of 0 becomes ``background``, as v2 wants it.

    ``source`` names the file in errors. Raises LabelsError for values that are no integers, and for names that occur
    twice, since one of the two labels would be lost.
    """
    inverted: dict[str, int] = {}
    for value, name in labels.items():
        try:
            number = int(value)
        except ValueError as error:
            raise LabelsError(
                f"{source}: labels has the key {value!r}; it must map label values to names here, such as "
                '{"0": "background", "1": "liver"}'
            ) from error
        if number == 0 and name != "background":
            logger.warning("%s: label 0 is called %r; it is renamed to 'background'", source, name)
            name = "background"
        if name in inverted:
            raise LabelsError(f"{source}: labels {inverted[name]} and {number} are both called {name!r}; rename one")
        inverted[name] = number
    return inverted


def described_as_v2(
    description: Mapping[str, Any], source: str, num_training: int, drop_unread: bool = False
) -> dict[str, Any]:
    """The content of dataset.json for v2; ``num_training`` is the number of cases that were found.

    ``modality`` becomes ``channel_names``, labels are turned around, lists of cases are dropped, and with
    ``drop_unread`` also two numbers that v2 does not read. All else is kept. Raises DatasetError when an entry is
    missing.
    """
    missing = [key for key in ("labels", "modality") if not isinstance(description.get(key), Mapping)]
    if missing:
        raise DatasetError(
            f"{source} has no mapping under {' and '.join(missing)}; it is no dataset.json of nnU-Net v1 or of the "
            "Medical Segmentation Decathlon"
        )
    dropped = _LISTS_OF_CASES + (_UNREAD if drop_unread else ())
    kept = {key: value for key, value in description.items() if key not in dropped and key != "modality"}
    stated = description.get("numTraining")
    if stated is not None and stated != num_training:
        logger.warning("%s: numTraining is %s, but there are %d cases; it is corrected", source, stated, num_training)
    return kept | {
        "labels": labels_by_name(description["labels"], source),
        "numTraining": num_training,
        "file_ending": FILE_ENDING,
        "channel_names": dict(description["modality"]),
    }
