"""Repairing what is safe to repair, into a new folder: a copy of the data set with the repairs in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import isdir, isfile, join
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError, ImageError, UsageError
from nnunetv2.experiment_planning.integrity_of_cases import ROUNDED_POSITION, ROUNDED_SPACING, count_values
from nnunetv2.experiment_planning.integrity_of_description import check_description, meant_key
from nnunetv2.imageio.channel_files import largest_displacement, position_differences
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.records import layout
from nnunetv2.records.files import copy_file, read_json, write_json
from nnunetv2.records.folders import atomic_folder, written_aside
from nnunetv2.records.label_values import LabelValues
from nnunetv2.records.labels import Labels
from nnunetv2.records.schema_check import schema
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.utils import split_channel_suffix

logger = logging.getLogger(__name__)

_ROUNDING = 1e-3
"""Labels this near to an integer are that integer with a rounding error."""


@dataclass
class Repairs:
    """What was done, in words."""

    done: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Training files that were not copied, because they are not read or would replace another one."""


def repair(
    folder: str, output_folder: str, num_processes: int = 1, renumber: bool = False, description: Any = None
) -> Repairs:
    """Copy the data set to ``output_folder``, which must not exist, and repair there what has one right answer.

    - dataset.json: misspelt keys, ``modality``, a wrong ``numTraining``
    - names: the channel number ``_0000`` where it is missing
    - label maps: 255 where dataset.json has one label, rounding errors of labels stored as floats, a geometry that
      differs from the image's by rounding; with ``renumber`` labels become 1, 2, 3, ... in files and dataset.json

    ``description`` is used where ``folder`` has no dataset.json. Images are never changed. Raises UsageError when
    ``output_folder`` exists or lies inside ``folder``, DatasetError for a data set without folders of its own.
    """
    if isfile(join(folder, layout.DATASET_JSON)):
        description = read_json(join(folder, layout.DATASET_JSON))
    if not isinstance(description, Mapping) or "dataset" in description or not isdir(join(folder, layout.IMAGES_TR)):
        raise DatasetError(
            f"{folder} cannot be repaired into a new folder: dataset.json, imagesTr and labelsTr are needed there, "
            "and no file lists in the entry dataset. Repair the files by hand"
        )
    if os.path.commonpath([os.path.realpath(folder), os.path.realpath(output_folder)]) == os.path.realpath(folder):
        raise UsageError(f"--fix {output_folder} lies inside {folder}; choose a new folder beside it")
    repairs = Repairs()
    content = _repaired_keys(description, repairs)
    with atomic_folder(output_folder) as target:
        images = _copy_images(folder, str(target), content, repairs)
        _copy_other_files(folder, str(target))
        if renumber:
            values, content = _renumbered(content, repairs)
        else:
            values = None
        _repair_label_maps(folder, str(target), content, images, values, num_processes, repairs)
        if str(content.get("numTraining")) != str(len(images)):
            repairs.done.append(f"numTraining is {len(images)} instead of {content.get('numTraining')}")
            content["numTraining"] = len(images)
        write_json(join(str(target), layout.DATASET_JSON), content, sort_keys=False)
    return repairs


def _repaired_keys(description: Mapping[str, Any], repairs: Repairs) -> dict[str, Any]:
    """Keys that are certainly misspelt, because a needed one is missing, get their name; the order stays."""
    definition = schema("dataset")
    unknown = [key for key in description if key not in definition["properties"]]
    renamed = {}
    for key in definition["required"]:
        if key not in description:
            near = meant_key(key, description, unknown)
            if near:
                renamed[near] = key
                repairs.done.append(f"dataset.json: {near} is called {key}")
    return {renamed.get(key, key): value for key, value in description.items()}


def _copy_images(folder: str, target: str, content: Mapping[str, Any], repairs: Repairs) -> dict[str, list[str]]:
    """Copy imagesTr; returns the copies of each case. Names without channel number get ``_0000`` if that is free."""
    ending = content.get("file_ending")
    if not isinstance(ending, str) or not ending.startswith("."):
        raise DatasetError(f"{folder}: file_ending in dataset.json is {ending!r}; correct it first, such as to .nii.gz")
    source, images = join(folder, layout.IMAGES_TR), join(target, layout.IMAGES_TR)
    os.makedirs(images)
    cases: dict[str, list[str]] = {}
    names = set(os.listdir(source))
    for name in layout.files_with_ending(source, ending):
        parts, new = split_channel_suffix(name, ending), name
        if parts is None:
            new = layout.channel_file_name(name[: -len(ending)], 0, ending)
            if new in names:
                repairs.left_out.append(join(layout.IMAGES_TR, name))  # it would replace the real channel 0
                continue
            repairs.done.append(f"{name} is called {new}")
            parts = (name[: -len(ending)], 0)
        copy_file(join(source, name), join(images, new))
        cases.setdefault(parts[0], []).append(join(images, new))
    for part in (layout.IMAGES_TR, layout.LABELS_TR):
        others = os.listdir(join(folder, part)) if isdir(join(folder, part)) else []
        unused = [name for name in others if not name.endswith((ending, ".json")) and not name.startswith(".")]
        repairs.left_out += [join(part, name) for name in sorted(unused)]
    return {case: sorted(cases[case]) for case in sorted(cases)}


def _copy_other_files(folder: str, target: str) -> None:
    """Test images, splits and everything else, as they are; JSON files beside images hold the spacing of TIFFs."""
    for root, _, names in os.walk(folder):
        for name in names:
            inside = os.path.relpath(join(root, name), folder)
            where = inside.split(os.sep)[0]
            special = where in (layout.IMAGES_TR, layout.LABELS_TR) and not name.endswith(".json")
            if not special and inside != layout.DATASET_JSON:
                copy_file(join(root, name), join(target, inside))


def _renumbered(content: dict[str, Any], repairs: Repairs) -> tuple[LabelValues, dict[str, Any]]:
    """The map from label values to 0, 1, 2, ..., and the description with the new ones."""
    labels = Labels.from_json(content["labels"], content.get("regions_class_order"))
    ignore = () if labels.ignore_label is None else (labels.ignore_label,)
    values = LabelValues(labels.all_labels + ignore)
    changed = dict(content, labels=values.dense_labels(content["labels"]))
    if content.get("regions_class_order"):
        changed["regions_class_order"] = [values.number(int(label)) for label in content["regions_class_order"]]
    repairs.done.append(f"labels {', '.join(map(str, values.originals))} are 0 to {len(values.originals) - 1}")
    return values, changed


def _repair_label_maps(
    folder: str,
    target: str,
    content: Mapping[str, Any],
    images: Mapping[str, Sequence[str]],
    values: LabelValues | None,
    num_processes: int,
    repairs: Repairs,
) -> None:
    source, labels = join(folder, layout.LABELS_TR), join(target, layout.LABELS_TR)
    os.makedirs(labels)
    if not isdir(source):
        return
    reader = determine_reader_writer_from_dataset_json(
        content, next((files[0] for files in images.values()), None), verbose=False
    )
    checked = check_description(content, layout.DATASET_JSON)
    # With renumbering, the files still have the old values.
    known = list(values.originals) if values is not None else list(checked.labels or ())
    ending = content["file_ending"]
    work = [
        (
            name,
            (
                reader,
                join(source, name),
                join(labels, name),
                images.get(name[: -len(ending)], [None])[0],
                known,
                values,
            ),
        )
        for name in layout.files_with_ending(source, ending)
    ]
    done = map_cases(_repair_label_map, work, num_processes, what="repairing label maps")
    repairs.done += [f"{name}: {text}" for name, text in done.items() if text]


def _repair_label_map(
    reader_class: Any, source: str, target: str, image: str | None, known: Sequence[int], values: LabelValues | None
) -> str:
    """Write the repaired label map, or copy it when nothing is to be done; says what was done."""
    reader = reader_class()
    try:
        label, properties = reader.read_seg(source)
        image_properties = None if image is None else reader.read_images([image])
    except ImageError:
        copy_file(source, target)  # damaged; the findings name it
        return ""
    done = []
    label, text = repaired_values(label, known)
    done += [text] if text else []
    if values is not None and not set(count_values(label)) - set(values.originals):
        label = values.to_dense(label)
        done.append("labels renumbered")
    if image_properties is not None and _differs_by_rounding(label, properties, *image_properties):
        properties = image_properties[1]
        done.append("geometry taken from the image")
    if done:
        with written_aside(target) as temporary:
            reader.write_seg(label[0], str(temporary), properties)
    else:
        copy_file(source, target)
    return ", ".join(done)


def repaired_values(label: np.ndarray, known: Sequence[int]) -> tuple[np.ndarray, str]:
    """A label map with the values that were meant, and what was done; as it is when that is not certain."""
    found = set(count_values(label))
    foreground = [value for value in known if value != 0]
    if found <= {0, 255} and 255 in found and 255 not in known and len(foreground) == 1:
        return np.where(label == 255, foreground[0], label), f"255 is {foreground[0]}"
    rounded = np.rint(label)
    near = np.all(np.abs(label - rounded) < _ROUNDING)  # False for NaN
    if near and not found <= set(known) and set(count_values(rounded)) <= set(known):
        return rounded, "rounded to integers"
    return label, ""


def _differs_by_rounding(
    label: np.ndarray, properties: Mapping[str, Any], image: np.ndarray, image_properties: Mapping[str, Any]
) -> bool:
    """Whether the geometry of the label map is that of the image but for rounding."""
    if label.shape[1:] != image.shape[1:]:
        return False
    spacings = [np.array([float(s) for s in p["spacing"]]) for p in (properties, image_properties)]
    close = np.allclose(*spacings, rtol=ROUNDED_SPACING)
    shift = largest_displacement(properties, image_properties, image.shape[1:])
    other = not np.allclose(*spacings) or bool(position_differences(properties, image_properties))
    # A rounded spacing adds up over the image; what counts then is that the first voxels lie together.
    first = largest_displacement(properties, image_properties, (1, 1, 1))
    limit = ROUNDED_POSITION * float(spacings[1].min())
    apart = first if not np.allclose(*spacings) else shift
    return close and other and (apart is None or apart <= limit)
