"""What names promise, and what is kept: of folders, channels, labels, endings, splits and test images."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from os.path import basename, isdir, isfile, join

from nnunetv2.errors import FileContentError
from nnunetv2.experiment_planning.doctor.case_comparison import duplicate
from nnunetv2.experiment_planning.integrity_of_folder import RawFolder
from nnunetv2.records import layout
from nnunetv2.records.files import read_json
from nnunetv2.records.findings import DatasetFinding, value_text
from nnunetv2.utilities.utils import split_channel_suffix

_FOLDER_NAME = re.compile(r"Dataset\d{3,}_.+")
_SIDES = (("left", "right"), ("l", "r"), ("lt", "rt"), ("lh", "rh"))


def names_and_files(raw: RawFolder, folder: str) -> list[DatasetFinding]:
    """What names promise: of the folder, channels, labels, the ending; and the files beside the training cases."""
    findings: list[DatasetFinding] = []
    name = basename(os.path.abspath(folder))
    if not _FOLDER_NAME.fullmatch(name):
        findings.append(
            DatasetFinding(
                severity="warning",
                file=folder,
                key="folder name",
                value=name,
                reason="commands find data sets by number, so the folder is Dataset, three digits or more, _, a name",
                remedy="rename it, for example to Dataset123_" + re.sub(r"\W+", "", name),
            )
        )
    path = join(folder, layout.DATASET_JSON)
    findings += _channel_names(raw, path)
    findings += _label_names(raw, path)
    findings += _no_cases(raw, folder, path)
    findings += _splits(raw, folder)
    findings += _test_images(raw, folder)
    return findings


def _channel_names(raw: RawFolder, path: str) -> list[DatasetFinding]:
    names = raw.description.get("channel_names")
    if not isinstance(names, Mapping):
        return []
    found = []
    for key, name in names.items():
        words = str(name).lower()
        likely_ct = re.search(r"\bct\b|computed.tomography|hounsfield|\bcta\b|_ct\b|\bct_", words)
        if likely_ct and words != "ct":
            found.append(
                DatasetFinding(
                    severity="warning",
                    kind="channel names near CT",
                    file=path,
                    key=f"channel_names.{key}",
                    value=value_text(name),
                    reason="only the name CT gives the normalization for CT; this channel gets z-scores",
                    remedy="write CT if the intensities are Hounsfield units",
                )
            )
    return found


def _label_names(raw: RawFolder, path: str) -> list[DatasetFinding]:
    labels = raw.description.get("labels")
    if raw.labels is None or not isinstance(labels, Mapping):
        return []
    found = []
    by_value: dict[str, list[str]] = defaultdict(list)
    for name, value in labels.items():
        by_value[str(value)].append(name)
    for value, names in by_value.items():
        if len(names) > 1:
            found.append(
                DatasetFinding(
                    severity="warning",
                    kind="labels with several names",
                    file=path,
                    key=f"labels.{names[1]}",
                    value=value,
                    reason=f"{' and '.join(names)} have the same value, so they are one label",
                    remedy="give each its own value, in the label maps, too, or remove one name",
                )
            )
    if len(raw.labels) < 2:
        found.append(
            DatasetFinding(
                file=path,
                key="labels",
                value=value_text(labels),
                reason="there is nothing to segment but background",
                remedy="name the labels that the label maps hold",
            )
        )
    return found


def left_right_pairs(raw: RawFolder, folder: str, trainer: str) -> list[DatasetFinding]:
    """Labels of a left and a right side, which mirroring in training turns into each other."""
    labels = raw.description.get("labels")
    if not isinstance(labels, Mapping) or "mirror" in trainer.lower():
        return []
    words = {tuple(re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())): name for name in labels}
    found = []
    for parts, name in words.items():
        for left, right in _SIDES:
            other = tuple(right if part == left else part for part in parts)
            if other != parts and other in words:
                found.append(
                    DatasetFinding(
                        severity="warning",
                        kind="left and right labels with mirroring",
                        file=join(folder, layout.DATASET_JSON),
                        key=f"labels.{name}",
                        value=value_text(labels[name]),
                        reason=f"{name} and {words[other]} differ by the side of the body, but {trainer} mirrors "
                        "images along every axis, after which left looks like right",
                        remedy="train with -tr nnUNetTrainer_onlyMirror01, if left and right lie along the last array "
                        "axis (that of axial slices), or with -tr nnUNetTrainerNoMirroring",
                    )
                )
    return found


def _no_cases(raw: RawFolder, folder: str, path: str) -> list[DatasetFinding]:
    """No training case, and which ending the files there have."""
    ending = raw.description.get("file_ending")
    images = join(folder, layout.IMAGES_TR)
    if raw.cases or not raw.listed or ending is None or not isdir(images):
        return []
    others = Counter(_ending_of(name) for name in os.listdir(images) if not name.startswith("."))
    there = f"; there are files ending with {', '.join(sorted(others))}" if others else ""
    remedy = f"write {others.most_common(1)[0][0]}" if others else "put the training images there"
    reason = f"no file in {images} has this ending{there}"
    return [DatasetFinding(file=path, key="file_ending", value=str(ending), reason=reason, remedy=remedy)]


def _ending_of(name: str) -> str:
    stem, ending = os.path.splitext(name)
    return os.path.splitext(stem)[1] + ending if ending.lower() == ".gz" else ending


def _splits(raw: RawFolder, folder: str) -> list[DatasetFinding]:
    """A splits_final.json of one's own that does not fit the cases."""
    path = join(folder, layout.SPLITS_JSON)
    if not isfile(path) or not raw.cases:
        return []
    try:
        splits = read_json(path)
        folds = [(set(fold["train"]), set(fold["val"])) for fold in splits]
    except (FileContentError, TypeError, KeyError) as error:
        return [
            DatasetFinding(
                file=path,
                key="content",
                value=type(error).__name__,
                reason=f"it is no list of folds: {error}",
                remedy='write it like [{"train": ["case_1"], "val": ["case_2"]}]',
            )
        ]
    found = []
    for number, (train, val) in enumerate(folds):
        for key, cases, reason, remedy in (
            ("", train & val, "these cases are trained on and validated with", "keep them in one of the two"),
            (".train", train - raw.cases.keys(), "there are no such training cases", "correct the names"),
            (".val", val - raw.cases.keys(), "there are no such training cases", "correct the names"),
        ):
            if cases:
                value = ", ".join(sorted(map(str, cases))[:5])
                found.append(
                    DatasetFinding(file=path, key=f"fold {number}{key}", value=value, reason=reason, remedy=remedy)
                )
    return found


def _test_images(raw: RawFolder, folder: str) -> list[DatasetFinding]:
    """Names of test images, and test images that are training images; only files of equal size are compared."""
    images, ending = join(folder, layout.IMAGES_TS), raw.description.get("file_ending")
    if not isdir(images) or ending is None:
        return []
    found = []
    by_size: dict[int, list[str]] = defaultdict(list)
    for file in (file for case in raw.cases.values() for file in case.images):
        by_size[os.path.getsize(file)].append(file)
    for name in layout.files_with_ending(images, ending):
        file = join(images, name)
        if split_channel_suffix(name, ending) is None:
            found.append(
                DatasetFinding(
                    severity="warning",
                    kind="test images without channel number",
                    file=file,
                    key="channel number",
                    value="missing",
                    reason="the name has no channel number in four digits, so it cannot be predicted",
                    remedy=f"rename it, for channel 0 to {layout.channel_file_name(name[: -len(ending)], 0, ending)}",
                )
            )
        twin = next((other for other in by_size[os.path.getsize(file)] if _same_bytes(file, other)), None)
        if twin is not None:
            found.append(duplicate(file, twin, "a test image is also a training image"))
    return found


def _same_bytes(first: str, second: str) -> bool:
    with open(first, "rb") as one, open(second, "rb") as two:
        return one.read() == two.read()
