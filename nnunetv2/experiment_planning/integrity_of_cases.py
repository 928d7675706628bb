"""What can be wrong with the images and the label map of one training case. Runs in worker processes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from os.path import basename
from typing import Any, TypeVar

import numpy as np

from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.channel_files import affine_of, largest_displacement, position_differences
from nnunetv2.imageio.sound_files import NotFinite, scan_to_the_end
from nnunetv2.records.findings import DatasetFinding

Read = tuple[np.ndarray, dict[str, Any]]
Result = TypeVar("Result")

ROUNDED_SPACING = 0.01
"""Spacings that differ by less than this share were rounded by some program."""
ROUNDED_POSITION = 0.05
"""And positions, by this share of the smallest spacing."""
_RESAMPLE = "resample them to one grid, or correct the file that is wrong"


@dataclass
class CaseContent:
    """What could be read of one case, and what is wrong with it so far."""

    case: str
    images: list[tuple[str, Read]] = field(default_factory=list)
    """Image files that could be read: path, array (C, Z, Y, X) and properties."""
    label: Read | None = None
    findings: list[DatasetFinding] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    """Files whose NaN or infinite voxels have been reported."""

    def add(self, file: str, key: str, value: str, reason: str, remedy: str, **more: Any) -> None:
        """Add a finding about this case."""
        self.findings.append(
            DatasetFinding(file=file, key=key, value=value, reason=reason, remedy=remedy, case=self.case, **more)
        )


def check_case(
    case: str,
    image_files: Sequence[str],
    label_file: str | None,
    reader_class: type[BaseReaderWriter],
    labels: Sequence[int] | None,
    num_channels: int | None,
) -> list[DatasetFinding]:
    """Everything wrong with one case; never raises for what is in the files.

    Parameters
    ----------
    image_files : channel files in order; none are checked when empty.
    label_file : None when there is none.
    labels : values a label map may hold; None skips this check.
    num_channels : expected number of channels over all files; None skips this check.
    """
    return read_and_check(case, image_files, label_file, reader_class, labels, num_channels).findings


def read_and_check(
    case: str,
    image_files: Sequence[str],
    label_file: str | None,
    reader_class: type[BaseReaderWriter],
    labels: Sequence[int] | None,
    num_channels: int | None,
) -> CaseContent:
    """``check_case``, with the arrays for further checks."""
    content = CaseContent(case)
    reader = reader_class()
    files = [*image_files, label_file] if label_file else list(image_files)
    sound = _scan_files(content, files)
    for file in image_files:
        read = _read(content, lambda file=file: reader.read_images([file]), file) if file in sound else None
        if read is not None:
            content.images.append((file, read))
    if label_file in sound:
        content.label = _read(content, lambda: reader.read_seg(label_file), label_file)
    if image_files and len(content.images) == len(image_files):
        _check_channels(content, num_channels)
        _check_voxels(content)
    if content.label is not None and label_file is not None:
        _check_label_values(content, label_file, labels)
        if len(content.images) == len(image_files) > 0:
            _check_label_grid(content, label_file)
    return content


def _scan_files(content: CaseContent, files: Sequence[str]) -> dict[str, NotFinite]:
    """The files whose bytes are sound; damaged ones, and NaN that a reader would hide, become findings."""
    sound = {}
    for file in files:
        counts = _read(content, lambda file=file: scan_to_the_end(file), file)
        if counts is not None:
            sound[file] = counts
            _not_finite(content, file, *counts)
            if any(counts):
                content.reported.add(file)
    return sound


def _read(content: CaseContent, read: Callable[[], Result], file: str) -> Result | None:
    """The result of ``read``; None, and a finding, when the file is damaged or cannot be read."""
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # readers may be anybody's; whatever they raise is the finding
        reason = str(error) if file in str(error) else f"{file} cannot be read: {error!r}"
        content.add(file, "content", "not readable", reason, "copy or make the file again")
        return None


def _check_channels(content: CaseContent, num_channels: int | None) -> None:
    """Number of channels, their numbers in file names, and that all have the grid of the first."""
    files = [file for file, _ in content.images]
    found = sum(len(array) for _, (array, _) in content.images)
    if num_channels is not None and found != num_channels:
        reason = _wrong_number_of_channels(files, num_channels, found)
        remedy = "add or remove files, or correct channel_names in dataset.json"
        content.add(files[0], "number of channels", str(found), reason, remedy)
    elif found == len(files):
        for channel, file in enumerate(files):
            suffix, expected = _channel_suffix(file), f"_{channel:04d}"
            if suffix not in (expected, ""):  # explicit lists are free
                content.add(file, "channel number", suffix, f"{expected} is not there", f"rename it to {expected}")
    first = content.images[0][1]
    for file, read in content.images[1:]:
        _compare_grids(content, first, read, file, "channels of one case", f"the first channel {basename(files[0])}")


def _compare_grids(content: CaseContent, mine: Read, theirs: Read, file: str, what: str, other: str) -> None:
    shapes = [read[0].shape[1:] for read in (mine, theirs)]
    if shapes[0] != shapes[1]:
        reason = f"the {what} differ in shape (Z, Y, X); {other} has {list(shapes[0])}"
        content.add(file, "shape", str(list(shapes[1])), reason, _RESAMPLE)
    spacings = [np.array([float(s) for s in read[1]["spacing"]]) for read in (mine, theirs)]
    if not np.allclose(*spacings):
        reason = f"the {what} differ in spacing (mm; Z, Y, X); {other} has {_rounded(spacings[0])}"
        if np.allclose(*spacings, rtol=ROUNDED_SPACING):
            reason += ". They agree within rounding; nnUNetv2_doctor --fix copies the geometry of the image"
        content.add(file, "spacing", str(_rounded(spacings[1])), reason, _RESAMPLE)
    if shapes[0] == shapes[1]:
        _compare_positions(content, mine, theirs, file, what, other)


def _compare_positions(content: CaseContent, mine: Read, theirs: Read, file: str, what: str, other: str) -> None:
    """Tell rounding, a lost header and a real difference apart."""
    different = position_differences(mine[1], theirs[1])
    if not different:
        return
    shift = largest_displacement(mine[1], theirs[1], mine[0].shape[1:])
    if shift is not None and shift <= ROUNDED_POSITION * min(float(s) for s in mine[1]["spacing"]):
        content.add(
            file, "position", different, f"the {what} differ by rounding, {shift:.2g} mm at most",
            "nothing needs to be done; nnUNetv2_doctor --fix copies the geometry of the image",
            severity="note", kind="rounded positions",
        )  # fmt: skip
        return
    lost = _is_default(theirs[1]) and not _is_default(mine[1])
    apart = "" if shift is None else f", up to {shift:.3g} mm apart"
    if lost:
        reason = f"the {what} differ{apart}; this file has lost its position: origin 0 and no rotation"
        remedy = "copy the geometry of the image, if the voxels belong together"
    else:
        reason = f"the {what} differ{apart}; the first value is that of {other}"
        remedy = "check in a viewer whether they overlap, and correct the header that is wrong"
    content.add(
        file, "position", different, reason, remedy, severity="warning", kind=f"{what} apart in space"
    )  # fmt: skip


def _is_default(properties: Mapping[str, Any]) -> bool:
    """Whether the position is what a program writes that knows none: origin 0, axes along those of the patient."""
    affine = affine_of(properties)
    if affine is None:
        return False
    axes = np.abs(affine[:3, :3])
    return not affine[:3, 3].any() and np.array_equal(axes, np.diag(np.diag(axes)))


def _rounded(spacing: np.ndarray) -> list[float]:
    return [round(float(s), 6) for s in spacing]


def _check_voxels(content: CaseContent) -> None:
    """NaN and infinite voxels of the files that have not been reported for that."""
    for file, (array, _) in content.images:
        if file in content.reported:
            continue
        for channel, values in enumerate(array):
            if not np.isfinite(values).all():
                name = f"channel {channel}" if len(array) > 1 else "voxels"
                _not_finite(content, file, int(np.isnan(values).sum()), int(np.isinf(values).sum()), name)
                content.reported.add(file)


def _not_finite(content: CaseContent, file: str, nan: int, infinite: int, what: str = "voxels") -> None:
    for kind, count in (("NaN", nan), ("infinite", infinite)):
        if count:
            content.add(
                file, what, f"{count:,} x {kind}", f"{count:,} voxels are {kind}", "replace them by real values"
            )


def _wrong_number_of_channels(files: Sequence[str], num_channels: int, found: int) -> str:
    text = f"channel_names has {num_channels} entries"
    present = {_channel_suffix(file) for file in files}
    if found == len(files) and "" not in present:
        expected = {f"_{channel:04d}" for channel in range(num_channels)}
        if expected - present:
            text += f"; missing: {', '.join(sorted(expected - present))}"
        if present - expected:
            text += f"; not expected: {', '.join(sorted(present - expected))}"
    return text


def _channel_suffix(file: str) -> str:
    """``_0001`` of ``case_0001.nii.gz``; empty when there is no channel number."""
    match = re.search(r"_\d{4}(?=\.[A-Za-z0-9.]+$)", basename(file))
    return match.group() if match else ""


def _check_label_values(content: CaseContent, file: str, labels: Sequence[int] | None) -> None:
    values = count_values(content.label[0])
    if file not in content.reported:
        nan = sum(count for value, count in values.items() if np.isnan(value))
        _not_finite(content, file, nan, sum(count for value, count in values.items() if np.isinf(value)))
    known: Set[float] = set(values) if labels is None else set(labels)
    unknown = {value: count for value, count in values.items() if np.isfinite(value) and value not in known}
    if unknown:
        listing = ", ".join(f"{value:g} ({count:,} voxels)" for value, count in sorted(unknown.items())[:10])
        content.add(
            file, "label values", listing + (" ..." if len(unknown) > 10 else ""),
            f"not in dataset.json, which knows {', '.join(map(str, labels or ()))}{_likely_cause(values, known)}",
            "correct the label map, or labels in dataset.json", kind="unknown label values",
        )  # fmt: skip
    if set(values) == {0}:
        content.add(
            file, "label values", "0", "the label map is all background",
            "check that the case has nothing to segment", severity="warning", kind="label maps without foreground",
        )  # fmt: skip


def _likely_cause(values: dict[float, int], known: Set[float]) -> str:
    if set(values) == {0, 255}:
        return ". This is a mask with 255 for foreground; nnUNetv2_doctor --fix writes the label instead"
    if all(np.isfinite(value) and abs(value - round(value)) < 1e-3 and round(value) in known for value in values):
        return ". These are rounding errors of labels stored as floats; nnUNetv2_doctor --fix rounds them"
    if any(np.isfinite(value) and value != round(value) for value in values):
        return ". Fractions come from resampling a label map with interpolation; use nearest neighbour"
    return ""


def count_values(label: np.ndarray) -> dict[float, int]:
    """Every value of an array and how often it occurs. Much faster than sorting when all are small integers."""
    total: Counter[float] = Counter()
    for plane in label.reshape(-1, *label.shape[-2:]):
        with np.errstate(invalid="ignore"):  # NaN has no integer; the comparison below notices it
            small = plane.astype(np.uint16)
        if np.array_equal(small, plane):
            counts = np.bincount(small.ravel())
            total.update({float(value): int(counts[value]) for value in np.flatnonzero(counts)})
        else:
            values, counts = np.unique(plane, return_counts=True)
            total.update({float(v): int(n) for v, n in zip(values, counts)})
    return dict(total)


def _check_label_grid(content: CaseContent, file: str) -> None:
    first = content.images[0][1]
    _compare_grids(content, first, content.label, file, "images and label map", "the image")
