"""What can be said about a raw data set without opening an image: its description, and which files there are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import isdir, isfile, join
from typing import Any, NamedTuple

from nnunetv2.errors import DatasetError, FileContentError
from nnunetv2.experiment_planning.integrity_of_description import check_description
from nnunetv2.records import layout
from nnunetv2.records.files import read_json
from nnunetv2.records.findings import MISSING, DatasetFinding, value_text
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets, split_channel_suffix

_SEG_SUFFIX = "_seg"
_SEE_FORMAT = "See documentation/data_format.md for what belongs there"


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
    findings: list[DatasetFinding] = field(default_factory=list)

    def error(self, file: str, key: str, value: str, reason: str, remedy: str, case: str = "") -> None:
        """Add an error."""
        self.findings.append(DatasetFinding(file=file, key=key, value=value, reason=reason, remedy=remedy, case=case))


def inspect_folder(folder: str) -> RawFolder:
    """Read dataset.json and list the files of a raw data set; problems become findings, never exceptions."""
    raw = RawFolder()
    path = join(folder, layout.DATASET_JSON)
    _read_description(raw, path)
    if "dataset" in raw.description:
        _list_explicit_cases(raw, folder, path)
    else:
        _list_folders(raw, folder)
    if raw.listed:
        _check_number_of_cases(raw, path)
    for case, files in raw.cases.items():
        if case.endswith(_SEG_SUFFIX):
            raw.error(
                files.images[0] if files.images else path,
                *(
                    "case name",
                    case,
                    f"a case name must not end with {_SEG_SUFFIX}, which marks preprocessed label maps",
                ),
                *("rename the files of this case", case),
            )
    return raw


def _read_description(raw: RawFolder, path: str) -> None:
    try:
        description = read_json(path)
    except DatasetError:
        raw.error(path, "file", MISSING, "dataset.json does not exist", _SEE_FORMAT)
        return
    except FileContentError as error:
        raw.error(path, "content", "not JSON", str(error), f"Correct the file. {_SEE_FORMAT}")
        return
    if not isinstance(description, dict):
        raw.error(path, "content", value_text(description), "it must be an object with keys", _SEE_FORMAT)
        return
    raw.description = dict(description)
    checked = check_description(raw.description, path)
    raw.findings += checked.findings
    raw.labels, raw.num_channels = checked.labels, checked.num_channels
    for key in checked.unusable:
        raw.description.pop(key, None)


def _list_explicit_cases(raw: RawFolder, folder: str, path: str) -> None:
    """Cases from the ``dataset`` entry, each of whose files must exist."""
    try:
        listed = get_filenames_of_train_images_and_targets(folder, raw.description)
    except (DatasetError, AttributeError) as error:
        if not any(finding.key.startswith("dataset") for finding in raw.findings):
            value = value_text(raw.description["dataset"])
            raw.error(path, "dataset", value, f"the file lists cannot be used: {error}", "correct the entry")
        return
    raw.listed = True
    for case, files in listed.items():
        absent = [file for file in (*files["images"], files["label"]) if not isfile(file)]
        for file in absent:
            raw.error(
                file, "file", MISSING, f"{file} does not exist, but {path} lists it in dataset.{case}",
                "copy the file there, or correct the list", case,
            )  # fmt: skip
        images = [] if any(file in absent for file in files["images"]) else list(files["images"])
        raw.cases[case] = RawCase(images, None if files["label"] in absent else files["label"])


def _list_folders(raw: RawFolder, folder: str) -> None:
    """Cases from imagesTr and labelsTr."""
    images, labels = join(folder, layout.IMAGES_TR), join(folder, layout.LABELS_TR)
    for needed in (images, labels):
        if not isdir(needed):
            remedy = "make it, or list the files of each case in dataset.json"
            raw.error(needed, "folder", MISSING, f"{os.path.basename(needed)} does not exist", remedy)
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
            remedy = "add the label map or remove the images of this case"
            raw.error(label, "label map", MISSING, f"{label} does not exist", remedy, case)
        raw.cases[case] = RawCase([join(images, name) for name in names], label if case in with_label else None)
    for case in sorted(with_label - set(files_of)) if isdir(images) else ():
        raw.error(
            join(labels, case + ending), "image", MISSING,
            f"the label map has no image; {join(images, layout.channel_file_name(case, 0, ending))} does not exist",
            "add the image or remove the label map", case,
        )  # fmt: skip


def _channel_files(raw: RawFolder, folder: str, ending: str) -> dict[str, list[str]]:
    """Sorted cases of a folder to their sorted file names; strange names become findings."""
    cases: dict[str, list[str]] = {}
    names = layout.files_with_ending(folder, ending)
    for name in names:
        parts = split_channel_suffix(name, ending)
        if parts is None:
            example = layout.channel_file_name(name[: -len(ending)], 0, ending)
            reason = "the name has no channel number in four digits"
            raw.error(join(folder, name), "channel number", MISSING, reason, f"rename it, for channel 0 to {example}")
        else:
            cases.setdefault(parts[0], []).append(name)
    others = _other_files(folder, names)
    if others:
        raw.findings.append(
            DatasetFinding(
                severity="warning",
                kind="files not used",
                file=folder,
                key="files",
                value=", ".join(others[:5]) + (" ..." if len(others) > 5 else ""),
                reason=f"{len(others)} file(s) do not end with {ending}, the file_ending, and are not used",
                remedy="remove or convert them, or correct file_ending",
            )
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
        remedy = "correct the number, or look for missing files"
        raw.error(path, "numTraining", value_text(stated), f"{len(raw.cases)} training cases were found", remedy)
