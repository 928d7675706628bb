"""What shows only when cases are compared: duplicates, outliers of geometry, labels that never occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial
from os.path import join
from typing import Any

import numpy as np

from nnunetv2.experiment_planning.doctor.case_examination import CaseFacts
from nnunetv2.experiment_planning.integrity_of_folder import RawFolder
from nnunetv2.records import layout
from nnunetv2.records.findings import DatasetFinding, value_text
from nnunetv2.records.labels import Labels

_FAR_SPACING = 5
"""A case whose spacing is this many times larger or smaller than the median is likely in another unit."""


def duplicate(file: str, twin: str, reason: str, case: str = "") -> DatasetFinding:
    return DatasetFinding(
        severity="warning",
        kind="duplicates",
        file=file,
        key="voxels",
        value=f"those of {twin}",
        case=case,
        reason=f"{reason}; results of cross-validation and tests get too good",
        remedy="remove one of them",
    )


def compare_cases(facts: Sequence[CaseFacts], raw: RawFolder, folder: str, complete: bool) -> list[DatasetFinding]:
    """What shows only when cases are compared. ``complete``: all cases were examined, not a sample."""
    findings = [*_duplicates(facts), *_geometry_outliers(facts)]
    if complete:
        findings += _absent_labels(facts, raw, join(folder, layout.DATASET_JSON))
    return findings


def _duplicates(facts: Iterable[CaseFacts]) -> list[DatasetFinding]:
    found, images, labels = [], {}, {}
    for case in facts:
        key = tuple(channel.digest for channel in case.channels)
        if not key:
            continue
        file = case.channels[0].file
        if key in images:
            found.append(duplicate(file, images[key], "two training cases have the same image", case.case))
        elif case.label_counts and len(case.label_counts) > 1 and case.label_digest in labels:
            twin = labels[case.label_digest]
            found.append(
                duplicate(case.label_file, twin, "two cases with different images have one label map", case.case)
            )
        images.setdefault(key, file)
        labels.setdefault(case.label_digest, case.label_file)
    return found


def _geometry_outliers(facts: Sequence[CaseFacts]) -> list[DatasetFinding]:
    """Cases whose spacing, orientation or number of dimensions is not that of the others."""
    known = [case for case in facts if case.spacing is not None and case.shape is not None]
    if len(known) < 3:
        return []
    spacings = np.array([case.spacing for case in known])
    median = np.median(spacings, axis=0)
    flat = np.median([case.shape[0] == 1 for case in known]) == 1
    common, how_many = Counter(case.orientation for case in known).most_common(1)[0]
    usual = value_text([round(float(s), 4) for s in median])
    found = []
    for case, spacing in zip(known, spacings):
        file, own = (
            case.channels[0].file if case.channels else case.label_file,
            value_text([round(s, 6) for s in case.spacing]),
        )
        ratio = np.maximum(spacing / median, median / spacing)[1 if flat else 0 :].max() if (spacing > 0).all() else 1
        unlike_others = partial(DatasetFinding, severity="warning", case=case.case, file=file)
        if (case.shape[0] == 1) != flat:
            found.append(
                unlike_others(
                    kind="2D among 3D",
                    key="shape",
                    value=str(list(case.shape)),
                    reason=f"most cases are {'2D' if flat else '3D'}, this one is not",
                    remedy="leave it out, or make a data set of its own",
                )
            )
        elif ratio > _FAR_SPACING or (np.all(spacing == 1) and not np.allclose(median, 1)):
            found.append(
                unlike_others(
                    kind="unusual spacings",
                    key="spacing",
                    value=own,
                    reason=f"the median of all cases is {usual} (mm; Z, Y, X)"
                    + ("; 1, 1, 1 is what remains of a lost header" if np.all(spacing == 1) else ""),
                    remedy="check the header, and correct it if it lost its spacing or has another unit",
                )
            )
        elif case.orientation != common and how_many > len(known) / 2:
            found.append(
                unlike_others(
                    kind="unusual orientations",
                    key="orientation",
                    value=case.orientation,
                    reason=f"{how_many} of {len(known)} cases have {common}; axes are used in file order, so this "
                    "image is turned or mirrored against the others",
                    remedy="store it like the others, or set overwrite_image_reader_writer in dataset.json to "
                    "SimpleITKIOWithReorient or NibabelIOWithReorient",
                )
            )
    return found


def _absent_labels(facts: Sequence[CaseFacts], raw: RawFolder, path: str) -> list[DatasetFinding]:
    labels: Any = raw.description.get("labels")
    if raw.labels is None or not facts or any(case.label_counts is None for case in facts):
        return []
    present = set().union(*(case.label_counts or {} for case in facts))
    known = Labels.from_json(labels, raw.description.get("regions_class_order"))
    names = {int(value): name for name, value in labels.items() if not isinstance(value, (list, tuple))}
    found = []
    for label in known.foreground:
        if label not in present:
            found.append(
                DatasetFinding(
                    severity="warning",
                    kind="labels in no case",
                    file=path,
                    key=f"labels.{names.get(label, label)}",
                    value=str(label),
                    reason="no training case has a voxel with this label",
                    remedy="correct the number, add cases that have it, or remove the label",
                )
            )
    if facts and 0 not in present:
        found.append(
            DatasetFinding(
                severity="warning",
                kind="no background",
                file=path,
                key="labels.background",
                value="0",
                reason="no label map has a voxel of background",
                remedy="check that 0 is the background in the files",
            )
        )
    return found
