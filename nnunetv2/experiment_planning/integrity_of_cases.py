"""What can be wrong with the images and the label map of one training case. Runs in worker processes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence, Set
from os.path import basename
from typing import Any, TypeVar

import numpy as np

from nnunetv2.experiment_planning.integrity_of_folder import Finding
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.channel_files import position_differences
from nnunetv2.imageio.sound_files import NotFinite, scan_to_the_end

Read = tuple[np.ndarray, dict[str, Any]]
Result = TypeVar("Result")


def check_case(
    case: str,
    image_files: Sequence[str],
    label_file: str | None,
    reader_class: type[BaseReaderWriter],
    labels: Sequence[int] | None,
    num_channels: int | None,
) -> list[Finding]:
    """Everything wrong with one case; never raises for what is in the files.

    Parameters
    ----------
    image_files : channel files in order; none are checked when empty.
    label_file : None when there is none.
    labels : values a label map may hold; None skips this check.
    num_channels : expected number of channels over all files; None skips this check.
    """
    findings: list[Finding] = []
    reader = reader_class()
    files = [*image_files, label_file] if label_file else list(image_files)
    scanned = _scan_files(files, findings)
    reported = {file for file, counts in scanned.items() if any(counts)}
    images = _read_images(reader, image_files, findings) if image_files and scanned.keys() >= {*image_files} else None
    label = _read(lambda: reader.read_seg(label_file), label_file, findings) if label_file in scanned else None
    if images is not None:
        findings += _channel_findings(len(images[0]), image_files, num_channels)
        findings += _voxel_findings(images[0], image_files, reported)
    if label is not None:
        findings += _label_findings(label[0], label_file, labels, label_file in reported)
    if images is not None and label is not None:
        findings += _grid_findings(images, label)
    return [Finding(f"{case}: {text}", kind) for text, kind in findings]


def _scan_files(files: Sequence[str], findings: list[Finding]) -> dict[str, NotFinite]:
    """The files whose bytes are sound; damaged ones, and NaN that a reader would hide, become findings."""
    sound = {}
    for file in files:
        counts = _read(lambda file=file: scan_to_the_end(file), file, findings)
        if counts is not None:
            sound[file] = counts
            findings += _not_finite(file, *counts)
    return sound


def _read(read: Callable[[], Result], file: str, findings: list[Finding]) -> Result | None:
    """The result of ``read``; None, and a finding, when the file is damaged or cannot be read."""
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # readers may be anybody's; whatever they raise is the finding
        findings.append(Finding(str(error) if file in str(error) else f"{file} cannot be read: {error!r}"))
        return None


def _read_images(reader: BaseReaderWriter, files: Sequence[str], findings: list[Finding]) -> Read | None:
    """All channels; when that fails, what is wrong with each single file, or else what is wrong with them together."""
    try:
        return reader.read_images(list(files))
    except MemoryError:
        raise
    except Exception as error:
        single: list[Finding] = []
        for file in files:
            _read(lambda file=file: reader.read_images([file]), file, single)
        findings += single or [Finding(str(error))]
        return None


def _channel_findings(found: int, files: Sequence[str], num_channels: int | None) -> list[Finding]:
    if num_channels is not None and found != num_channels:
        return [Finding(_wrong_number_of_channels(found, files, num_channels))]
    if found == len(files):
        return [Finding(f"{file} is there, but not {expected}") for file, expected in _misnumbered(files)]
    return []


def _voxel_findings(images: np.ndarray, files: Sequence[str], reported: Set[str]) -> list[Finding]:
    """NaN and infinite voxels of the channels whose files have not been ``reported`` for that."""
    found = []
    for channel, values in enumerate(images):
        sources = [files[channel]] if len(images) == len(files) else files
        if reported.isdisjoint(sources) and not np.isfinite(values).all():
            name = f"{', '.join(sources)} (channel {channel})"
            found += _not_finite(name, np.isnan(values).sum(), np.isinf(values).sum())
    return found


def _not_finite(name: str, nan: int, infinite: int) -> list[Finding]:
    return [
        Finding(f"{name}: {count:,} voxels are {what}; replace them by real values")
        for what, count in (("NaN", nan), ("infinite", infinite))
        if count
    ]


def _wrong_number_of_channels(found: int, files: Sequence[str], num_channels: int) -> str:
    text = f"{found} channel(s) in {', '.join(map(basename, files))}, but channel_names has {num_channels} entries"
    present = {_channel_suffix(file) for file in files}
    if found == len(files) and "" not in present:
        expected = {f"_{channel:04d}" for channel in range(num_channels)}
        if expected - present:
            text += f"; missing: {', '.join(sorted(expected - present))}"
        if present - expected:
            text += f"; not expected: {', '.join(sorted(present - expected))}"
    return text + ". Add or remove files, or correct channel_names in dataset.json"


def _misnumbered(files: Sequence[str]) -> list[tuple[str, str]]:
    """Files whose channel number is not their place in the list, and the number expected; explicit lists are free."""
    pairs = [(file, f"_{channel:04d}") for channel, file in enumerate(files)]
    return [(file, expected) for file, expected in pairs if _channel_suffix(file) not in (expected, "")]


def _channel_suffix(file: str) -> str:
    """``_0001`` of ``case_0001.nii.gz``; empty when there is no channel number."""
    match = re.search(r"_\d{4}(?=\.[A-Za-z0-9.]+$)", basename(file))
    return match.group() if match else ""


def _label_findings(label: np.ndarray, file: str, labels: Sequence[int] | None, reported: bool) -> list[Finding]:
    """``reported``: NaN and infinite voxels of this file are in the report already."""
    values = count_values(label)
    found = []
    if not reported:
        found += _not_finite(
            file,
            sum(count for value, count in values.items() if np.isnan(value)),
            sum(count for value, count in values.items() if np.isinf(value)),
        )
    known = values if labels is None else labels
    unknown = {value: count for value, count in values.items() if np.isfinite(value) and value not in known}
    if unknown:
        listing = ", ".join(f"{value:g} ({count:,} voxels)" for value, count in sorted(unknown.items())[:10])
        found.append(
            Finding(
                f"{file} has values that are no labels: {listing}{' ...' if len(unknown) > 10 else ''}. dataset.json "
                f"knows {', '.join(map(str, labels))}; correct the label map, or labels in dataset.json"
            )
        )
    if set(values) == {0}:
        found.append(Finding(f"{file} is all background", "label maps without foreground"))
    return found


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


def _grid_findings(images: Read, label: Read) -> list[Finding]:
    (image_array, image_properties), (label_array, label_properties) = images, label
    found = []
    if image_array.shape[1:] != label_array.shape[1:]:
        found.append(
            Finding(
                f"the images have shape {image_array.shape[1:]}, the label map has {label_array.shape[1:]} (Z, Y, X); "
                "bring them to one grid"
            )
        )
    spacings = [[float(s) for s in p["spacing"]] for p in (image_properties, label_properties)]
    if not np.allclose(*spacings):
        found.append(
            Finding(
                f"the images have spacing {spacings[0]}, the label map has {spacings[1]} (mm; Z, Y, X); correct the "
                "header that is wrong, or bring them to one grid"
            )
        )
    different = position_differences(image_properties, label_properties)
    if different:
        found.append(Finding(f"images and label map differ in {different}", "images and label maps apart in space"))
    return found
