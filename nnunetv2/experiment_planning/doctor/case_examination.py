"""Examining one case: the checks of ``integrity_of_cases``, strange intensities, and what is needed to compare cases.

Runs in worker processes; what goes back is small, whatever the size of the images.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from nnunetv2.experiment_planning.integrity_of_cases import CaseContent, Read, count_values, read_and_check
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.channel_files import affine_of
from nnunetv2.records.findings import DatasetFinding

ALMOST_ALL = 0.999
"""An image with one value in more than this share of its voxels shows nothing."""
_SAMPLE = 100_000
# Hounsfield units: air is -1000, and every CT of a body has some around or in it. Fat, the next lowest, is above -200.
_NO_AIR = -200
_COLDEST_MR = -900
_DENSE_BONE = 500
# Shorter than the in-plane spacing of micro-CT, longer than any slice distance.
_SPACING_RANGE = (1e-3, 1e2)


@dataclass(frozen=True, kw_only=True)
class ChannelFacts:
    """One channel of one case."""

    file: str
    lowest: float
    highest: float
    digest: str
    """Hash of the voxels, whatever the file format."""


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """What is needed to compare cases, and to estimate time and memory."""

    case: str
    findings: tuple[DatasetFinding, ...]
    channels: tuple[ChannelFacts, ...]
    shape: tuple[int, ...] | None
    """(Z, Y, X) of the first channel; None when it could not be read."""
    spacing: tuple[float, ...] | None
    """mm; Z, Y, X."""
    orientation: str
    """Directions in which the axes of the file grow, such as ``LPS``; empty where the format does not tell."""
    label_file: str
    label_counts: dict[float, int] | None
    label_digest: str
    file_bytes: int
    seconds: float
    """Time to read and check the case."""


def examine_case(
    case: str,
    image_files: Sequence[str],
    label_file: str | None,
    reader_class: type[BaseReaderWriter],
    labels: Sequence[int] | None,
    channel_names: Sequence[str],
) -> CaseFacts:
    """All findings and facts of one case; parameters as in ``check_case``."""
    started = time.perf_counter()
    content = read_and_check(case, image_files, label_file, reader_class, labels, len(channel_names) or None)
    channels = _channels(content, channel_names)
    first = content.images[0][1] if content.images else None
    if first is not None:
        _check_spacing(content, content.images[0][0], first)
    label = None if content.label is None else content.label[0]
    label_digest = "" if label is None else _digest(label[0])
    for channel in channels:
        if label is not None and label.any() and channel.digest == label_digest:
            content.add(
                channel.file, "voxels", f"those of {label_file}", "the image is a copy of its own label map",
                "put the image there", kind="images that are label maps",
            )  # fmt: skip
    return CaseFacts(
        case=case,
        findings=tuple(content.findings),
        channels=tuple(channels),
        shape=None if first is None else first[0].shape[1:],
        spacing=None if first is None else tuple(float(s) for s in first[1]["spacing"]),
        orientation="" if first is None else _orientation(first),
        label_file=label_file or "",
        label_counts=None if label is None else count_values(label),
        label_digest=label_digest,
        file_bytes=sum(os.path.getsize(file) for file in (*image_files, label_file) if file),
        seconds=time.perf_counter() - started,
    )


def _channels(content: CaseContent, channel_names: Sequence[str]) -> list[ChannelFacts]:
    """Facts of every channel; suspicious intensities become findings."""
    found: list[ChannelFacts] = []
    for file, (array, _) in content.images:
        for values in array:
            name = channel_names[len(found)] if len(found) < len(channel_names) else ""
            finite = values if np.isfinite(values).all() else np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
            facts = ChannelFacts(
                file=file, lowest=float(finite.min()), highest=float(finite.max()), digest=_digest(values)
            )
            _check_contrast(content, facts, finite)
            _check_range(content, facts, name)
            found.append(facts)
    for index, channel in enumerate(found):
        twin = next((i for i in range(index) if found[i].digest == channel.digest), None)
        # Grey pictures stored as RGB have equal channels in one file, which is fine.
        if twin is not None and channel.lowest < channel.highest and found[twin].file != channel.file:
            content.add(
                channel.file, "voxels", f"those of channel {twin}", f"channels {twin} and {index} hold the same image",
                "put the right image there, or remove the channel", severity="warning", kind="equal channels",
            )  # fmt: skip
    return found


def _digest(array: np.ndarray) -> str:
    whole = hashlib.blake2b(repr(array.shape).encode(), digest_size=16)
    whole.update(np.ascontiguousarray(array, dtype=np.float32))
    return whole.hexdigest()


def _check_contrast(content: CaseContent, facts: ChannelFacts, values: np.ndarray) -> None:
    if facts.lowest == facts.highest:
        content.add(
            facts.file, "intensities", f"{facts.lowest:g} everywhere", "the image is constant, it shows nothing",
            "make the file again, or leave the case out", kind="constant images",
        )  # fmt: skip
        return
    flat = values.reshape(-1)
    sampled, counts = np.unique(flat[:: max(1, flat.size // _SAMPLE)], return_counts=True)
    common = sampled[counts.argmax()]
    share = np.count_nonzero(flat == common) / flat.size if counts.max() > ALMOST_ALL * counts.sum() else 0.0
    if share > ALMOST_ALL:
        content.add(
            facts.file, "intensities", f"{common:g} in {100 * share:.2f} % of the voxels",
            "the image is almost constant", "look at it; crop it, make it again, or leave the case out",
            severity="warning", kind="almost constant images",
        )  # fmt: skip


def _check_range(content: CaseContent, facts: ChannelFacts, name: str) -> None:
    """Whether the intensities are those the channel's name promises."""
    value = f"{facts.lowest:g} to {facts.highest:g}"
    if facts.lowest == facts.highest:
        return
    if name.strip().lower() == "ct" and facts.lowest > _NO_AIR:
        content.add(
            facts.file, "intensities", value,
            f"the channel is called {name}, but these are hardly Hounsfield units: air is -1000{_scale(facts)}",
            "convert them to Hounsfield units (RescaleSlope and RescaleIntercept of the DICOM files), or call the "
            "channel something else, so that it gets z-scores", severity="warning", kind="CT not in Hounsfield units",
        )  # fmt: skip
    elif name.lower() == "rgb_to_0_1" and (facts.lowest < 0 or facts.highest > 255):
        content.add(
            facts.file, "intensities", value, "the channel is called rgb_to_0_1, which divides by 255",
            "scale the values to 0 to 255, or call the channel rescale_to_0_1", kind="colours beyond 255",
        )  # fmt: skip
    elif not _names_ct(name) and facts.lowest < _COLDEST_MR and facts.highest > _DENSE_BONE:
        content.add(
            facts.file, "intensities", value,
            f"the channel is called {name!r}, but the values look like Hounsfield units of a CT",
            "call the channel CT in dataset.json, so that it gets the normalization for CT, or correct the file",
            severity="warning", kind="channels that look like CT",
        )  # fmt: skip


def _names_ct(name: str) -> bool:
    return name.strip().lower() in ("ct", "nonorm", "rescale_to_0_1")


def _scale(facts: ChannelFacts) -> str:
    if facts.lowest >= 0 and facts.highest <= 1:
        return ". They look scaled to 0 to 1"
    if facts.lowest >= 0 and facts.highest <= 255:
        return ". They look windowed to 8 bits"
    if facts.lowest >= 0:
        return ". They look like raw scanner values; 1024 is often to be subtracted"
    return ""


def _check_spacing(content: CaseContent, file: str, read: Read) -> None:
    spacing = [float(s) for s in read[1]["spacing"]]
    if read[0].shape[1] == 1:
        spacing = spacing[1:]  # the first axis of 2D images is made up
    low, high = _SPACING_RANGE
    if not all(np.isfinite(s) and s > 0 for s in spacing):
        content.add(file, "spacing", str(spacing), "it must be positive (mm; Z, Y, X)", "correct the header")
    elif not all(low <= s <= high for s in spacing):
        content.add(
            file, "spacing", str(spacing), f"it is in mm (Z, Y, X) and hardly below {low:g} or above {high:g}",
            "check the unit in the header, and correct it", severity="warning", kind="strange spacings",
        )  # fmt: skip


def _orientation(read: Read) -> str:
    affine = affine_of(read[1])
    return "" if affine is None else "".join(code or "?" for code in nib.aff2axcodes(affine))
