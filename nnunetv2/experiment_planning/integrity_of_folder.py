"""What can be said about a raw data set without opening an image: its description, and which files there are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os.path import isdir, isfile, join
from typing import Any, NamedTuple

from nnunetv2.errors import DatasetError, FileContentError, LabelsError
from nnunetv2.records import layout
from nnunetv2.records.files import read_json
from nnunetv2.records.labels import Labels, require_visible_regions
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets, split_channel_suffix

_REQUIRED_KEYS = ("channel_names", "labels", "numTraining", "file_ending")
_SEG_SUFFIX = "_seg"
_LOSSY_ENDINGS = (".jpg", ".jpeg")


class Finding(NamedTuple):
    """One thing noticed about a data set."""

    text: str
    """A sentence naming file or case, key, value and way out."""
    kind: str = "error"
    """``error``, or for mere warnings a few words that say what all of this kind have in common."""

    @property
    def is_error(self) -> bool:
        """Whether the data set cannot be used like this."""
        return self.kind == "error"


class RawCase(NamedTuple):
    """The files of one training case that exist."""

    images: list[str]
    """Channel files in order; empty when one of an explicit list is missing."""
    label: str | None
    """Label file; None when it is missing."""


@dataclass
class RawFolder:
    """A raw data set as far as it could be understood."""

    description: dict[str, Any] = field(default_factory=dict)
    """Content of dataset.json."""
    labels: tuple[int, ...] | None = None
    """Every value a label map may hold; None when dataset.json does not tell."""
    num_channels: int | None = None
    """Number of entries in channel_names; None when there are none."""
    cases: dict[str, RawCase] = field(default_factory=dict)
    listed: bool = False
    """Whether the cases could be listed, so that counting them makes sense."""
    findings: list[Finding] = field(default_factory=list)

    def error(self, text: str) -> None:
        """Add an error."""
        self.findings.append(Finding(text))

    def warning(self, kind: str, text: str) -> None:
        """Add a warning."""
        self.findings.append(Finding(text, kind))


def inspect_folder(folder: str) -> RawFolder:
    """Read dataset.json and list the files of a raw data set; problems become findings, never exceptions."""
    raw = RawFolder()
    path = join(folder, layout.DATASET_JSON)
    try:
        description = read_json(path)
        if not isinstance(description, Mapping):
            raise FileContentError(f"{path} holds {type(description).__name__}; it must be an object with keys")
        raw.description = dict(description)
    except (DatasetError, FileContentError) as error:
        raw.error(f"{error}; see documentation/data_format.md for what belongs there")
    else:
        _check_description(raw, path)
    if "dataset" in raw.description:
        _list_explicit_cases(raw, folder, path)
    else:
        _list_folders(raw, folder)
    if raw.listed:
        _check_number_of_cases(raw, path)
    for case in raw.cases:
        if case.endswith(_SEG_SUFFIX):
            raw.error(
                f"{case}: a case name must not end with {_SEG_SUFFIX}, which marks the preprocessed label map of "
                "another case; rename its files"
            )
    return raw


def _check_description(raw: RawFolder, path: str) -> None:
    missing = [key for key in _REQUIRED_KEYS if key not in raw.description]
    if missing:
        legacy = " (modality is an old name of channel_names; rename it)" if "modality" in raw.description else ""
        raw.error(
            f"{path}: {', '.join(missing)} missing; needed are {', '.join(_REQUIRED_KEYS)}, there are "
            f"{', '.join(raw.description) or 'none'}{legacy}"
        )
    if "channel_names" in raw.description:
        _check_channel_names(raw, path)
    if "labels" in raw.description:
        _check_labels(raw, path)
    if "file_ending" in raw.description:
        _check_file_ending(raw, path)


def _check_file_ending(raw: RawFolder, path: str) -> None:
    ending = raw.description["file_ending"]
    if not (isinstance(ending, str) and ending.startswith(".")):
        raw.error(f"{path}: file_ending is {ending!r}; it must be text with a leading dot, such as '.nii.gz'")
        del raw.description["file_ending"]
    elif ending.lower() in _LOSSY_ENDINGS:
        raw.error(
            f"{path}: file_ending is {ending!r}, but label maps and predictions have that ending too, and JPEG does "
            "not keep label values. Convert to .png, or keep the images and list them in dataset with labels in .png"
        )


def _check_channel_names(raw: RawFolder, path: str) -> None:
    names = raw.description["channel_names"]
    if not isinstance(names, Mapping) or not names:
        raw.error(f'{path}: channel_names is {names!r}; it must map numbers to names, such as {{"0": "CT"}}')
        return
    raw.num_channels = len(names)
    expected = [str(i) for i in range(len(names))]
    if [str(key) for key in names] != expected:
        raw.warning(
            "channel_names out of order",
            f"{path}: channel_names has the keys {', '.join(map(str, names))} instead of {', '.join(expected)}. "
            "Channel _0000 gets the normalization of the first entry, whatever its key; put the entries in order",
        )


def _check_labels(raw: RawFolder, path: str) -> None:
    labels = raw.description["labels"]
    if not isinstance(labels, Mapping):
        raw.error(f'{path}: labels is {labels!r}; it must map names to values, such as {{"background": 0}}')
        return
    try:
        known = Labels.from_json(labels, raw.description.get("regions_class_order"), source=path)
    except LabelsError as error:
        raw.error(str(error))
        return
    raw.labels = known.all_labels + (() if known.ignore_label is None else (known.ignore_label,))
    try:
        require_visible_regions(labels, raw.description.get("regions_class_order"), path)
    except LabelsError as error:
        raw.error(str(error))


def _list_explicit_cases(raw: RawFolder, folder: str, path: str) -> None:
    """Cases from the ``dataset`` entry, each of whose files must exist."""
    try:
        listed = get_filenames_of_train_images_and_targets(folder, raw.description)
    except (DatasetError, AttributeError) as error:
        raw.error(f"{path}: the file lists in dataset cannot be used: {error}")
        return
    raw.listed = True
    for case, files in listed.items():
        absent = [file for file in (*files["images"], files["label"]) if not isfile(file)]
        for file in absent:
            raw.error(f"{case}: {file} does not exist, but {path} lists it in dataset.{case}")
        images = [] if any(file in absent for file in files["images"]) else list(files["images"])
        raw.cases[case] = RawCase(images, None if files["label"] in absent else files["label"])


def _list_folders(raw: RawFolder, folder: str) -> None:
    """Cases from imagesTr and labelsTr."""
    images, labels = join(folder, layout.IMAGES_TR), join(folder, layout.LABELS_TR)
    for needed in (images, labels):
        if not isdir(needed):
            raw.error(f"{needed} does not exist; make it, or list the files of each case in dataset.json")
    ending = raw.description.get("file_ending")
    if ending is None:
        return
    raw.listed = isdir(images)
    files_of = _channel_files(raw, images, ending) if raw.listed else {}
    label_names = layout.files_with_ending(labels, ending) if isdir(labels) else []
    with_label = {name[: -len(ending)] for name in label_names}
    for case, names in files_of.items():
        label = join(labels, case + ending)
        if isdir(labels) and case not in with_label:
            raw.error(f"{case}: {label} does not exist; add the label map or remove the images of this case")
        raw.cases[case] = RawCase([join(images, name) for name in names], label if case in with_label else None)
    for case in sorted(with_label - set(files_of)) if isdir(images) else ():
        raw.error(
            f"{case}: {join(labels, case + ending)} has no image; "
            f"{join(images, layout.channel_file_name(case, 0, ending))} does not exist"
        )


def _channel_files(raw: RawFolder, folder: str, ending: str) -> dict[str, list[str]]:
    """Sorted cases of a folder to their sorted file names; strange names become findings."""
    cases: dict[str, list[str]] = {}
    names = layout.files_with_ending(folder, ending)
    for name in names:
        parts = split_channel_suffix(name, ending)
        if parts is None:
            example = layout.channel_file_name(name[: -len(ending)], 0, ending)
            raw.error(f"{join(folder, name)} has no channel number; rename it, for channel 0 to {example}")
        else:
            cases.setdefault(parts[0], []).append(name)
    others = _other_files(folder, names)
    if others:
        raw.warning(
            "files not used",
            f"{folder}: {len(others)} file(s) do not end with {ending} and are not used: {', '.join(others[:5])}"
            f"{' ...' if len(others) > 5 else ''}",
        )
    return {case: sorted(cases[case]) for case in sorted(cases)}


def _other_files(folder: str, used: Sequence[str]) -> list[str]:
    """Visible files besides ``used``; JSON files are left out, since they hold the spacing of TIFF images."""
    known = set(used)
    return sorted(
        name
        for name in os.listdir(folder)
        if name not in known and not name.startswith(".") and not name.endswith(".json") and isfile(join(folder, name))
    )


def _check_number_of_cases(raw: RawFolder, path: str) -> None:
    if "numTraining" not in raw.description:
        return
    stated = raw.description["numTraining"]
    if str(stated) != str(len(raw.cases)):
        raw.error(
            f"{path}: numTraining is {stated!r}, but {len(raw.cases)} training cases were found. Correct the number, "
            "or look for missing files"
        )
