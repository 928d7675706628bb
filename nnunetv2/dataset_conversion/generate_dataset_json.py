"""Writing dataset.json for a new data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

from nnunetv2.errors import LabelsError, MissingFileError
from nnunetv2.records.files import PathLike, write_json
from nnunetv2.records.layout import DATASET_JSON

_NO_LICENSE = "not stated; ask whoever made this data set before passing it on"
_NO_CONVERTER = "not stated"


def generate_dataset_json(
    output_folder: PathLike,
    channel_names: Mapping[Any, str],
    labels: Mapping[str, Any],
    num_training_cases: int,
    file_ending: str,
    citation: Any = None,
    regions_class_order: Sequence[int] | None = None,
    dataset_name: str | None = None,
    reference: str | None = None,
    release: str | None = None,
    description: str | None = None,
    overwrite_image_reader_writer: str | None = None,
    license: str = _NO_LICENSE,
    converted_by: str = _NO_CONVERTER,
    **kwargs: Any,
) -> None:
    """Write ``dataset.json`` into ``output_folder``, which must exist.

    Parameters
    ----------
    channel_names : channel number to name in the order of the channels; "CT" gets the normalization for CT.
    labels : name to label value, or to several values for a region. The order of regions matters and is kept.
        ``background`` is 0; ``ignore``, if there is one, is the highest value plus one.
    num_training_cases : number of training cases.
    file_ending : ending of images and label maps with its leading dot, such as ``.nii.gz``.
    regions_class_order : the label to write for each region, in their order; needed when there are regions.
    overwrite_image_reader_writer : class name of the reader; default is chosen by the file ending.
    citation, dataset_name, reference, release, description, license, converted_by : for people; not read here.
    kwargs : further entries; they replace those above when they have the same key.

    Raises LabelsError (an AssertionError) for regions without ``regions_class_order`` or labels that are no integers,
    MissingFileError when the folder does not exist. The given mappings are not changed.
    """
    target = join(output_folder, DATASET_JSON)
    if not os.path.isdir(output_folder):
        raise MissingFileError(f"{os.fspath(output_folder)} is not a folder; make it before writing {DATASET_JSON}")
    has_regions = any(isinstance(value, (list, tuple)) and len(value) > 1 for value in labels.values())
    if has_regions and regions_class_order is None:
        raise LabelsError(
            f"{target} was not written: labels has regions, so regions_class_order is needed: the label to write for "
            "each region, in their order"
        )
    content = {
        "channel_names": {str(number): name for number, name in channel_names.items()},
        "labels": {name: _label_value(value, f"{target}: labels.{name}") for name, value in labels.items()},
        "numTraining": int(num_training_cases),
        "file_ending": file_ending,
        "licence": license,
        "converted_by": converted_by,
    }
    optional = {
        "name": dataset_name,
        "reference": reference,
        "release": release,
        "citation": citation,
        "description": description,
        "overwrite_image_reader_writer": overwrite_image_reader_writer,
        "regions_class_order": None if regions_class_order is None else [int(label) for label in regions_class_order],
    }
    content.update({key: value for key, value in optional.items() if value is not None})
    write_json(target, content | kwargs, sort_keys=False)


def _label_value(value: Any, where: str) -> int | list[int]:
    """A label as an integer, a region as a list of them."""
    try:
        return [int(v) for v in value] if isinstance(value, (list, tuple)) else int(value)
    except (TypeError, ValueError) as error:
        raise LabelsError(f"{where} is {value!r}; it must be an integer or a list of integers") from error
