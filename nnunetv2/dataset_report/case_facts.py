"""What the report says about one case: measured in worker processes, so that no image travels between them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.utilities.overlay_plots import COLOR_CYCLE, generate_overlay, slice_to_show

PERCENTILES = (0.5, 50.0, 99.5)
_BINS = 64
_THUMBNAIL_PIXELS = 192
_JPEG = {"quality": 85}


@dataclass(frozen=True, kw_only=True)
class Intensities:
    """One channel of a case; all statistics leave out voxels that are not finite."""

    minimum: float
    percentile_00_5: float
    median: float
    mean: float
    std: float
    percentile_99_5: float
    maximum: float
    not_finite: int
    """Number of voxels that are NaN or infinite."""
    histogram: tuple[int, ...]
    """Voxels in equal bins from percentile 0.5 to percentile 99.5."""
    foreground_histogram: tuple[int, ...]
    """The same for voxels with a label above 0; empty without label map."""


@dataclass(frozen=True, kw_only=True)
class CaseFacts:
    """One case. ``shape`` in voxels and ``spacing`` in mm are in array order (Z, Y, X)."""

    case: str
    part: str
    """``training`` or ``test``."""
    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    orientation: str
    """Three letters: where the first, second and third axis of the file point to (L, R, A, P, S, I); empty if the
    format does not say."""
    channels: tuple[Intensities, ...]
    voxels: Mapping[int, int] | None
    """Label value to number of voxels, background included; None for a case without label map."""
    thumbnail: bytes = field(repr=False)
    """JPEG of the slice that shows most of the labels."""
    thumbnail_size: tuple[float, float]
    """Height and width of that slice in mm."""

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(np.prod(self.spacing)) / 1000


def measure_case(
    case: str,
    part: str,
    images: Sequence[str],
    label: str | None,
    reader: BaseReaderWriter,
    labels: Sequence[int],
) -> CaseFacts:
    """Read one case and measure it. ``labels`` are the values other than background, in the order of their colours.

    Raises ImageError when a file cannot be read, or image and label map differ in shape.
    """
    data, properties = reader.read_images(images)
    segmentation = None if label is None else np.asarray(reader.read_seg(label)[0][0])
    if segmentation is not None and segmentation.shape != data.shape[1:]:
        raise ImageError(f"{label} has shape {segmentation.shape}, the image {data.shape[1:]}")
    foreground = None if segmentation is None else segmentation > 0
    spacing = tuple(float(value) for value in properties["spacing"])
    index = data.shape[1] // 2 if foreground is None or not foreground.any() else slice_to_show(segmentation, labels)
    return CaseFacts(
        case=case,
        part=part,
        shape=tuple(int(n) for n in data.shape[1:]),
        spacing=spacing,
        orientation=orientation_of(properties),
        channels=tuple(measure_channel(channel, foreground) for channel in data),
        voxels=None if segmentation is None else count_labels(segmentation),
        thumbnail=draw_thumbnail(data[0, index], None if segmentation is None else segmentation[index], labels),
        thumbnail_size=(data.shape[2] * spacing[1], data.shape[3] * spacing[2]),
    )


def measure_channel(channel: np.ndarray, foreground: np.ndarray | None) -> Intensities:
    """Statistics of one channel (Z, Y, X); ``foreground`` is a mask of that shape."""
    finite = np.isfinite(channel)
    bad = int(channel.size - np.count_nonzero(finite))
    values = channel[finite] if bad else channel.reshape(-1)
    if values.size == 0:
        raise ImageError("an image has no finite voxel at all")
    low, median, high = (float(value) for value in np.percentile(values, PERCENTILES))
    edges = (low, high if high > low else low + 1)
    inside = () if foreground is None else np.histogram(channel[foreground & finite], _BINS, edges)[0].tolist()
    return Intensities(
        minimum=float(values.min()),
        percentile_00_5=low,
        median=median,
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
        percentile_99_5=high,
        maximum=float(values.max()),
        not_finite=bad,
        histogram=tuple(np.histogram(values, _BINS, edges)[0].tolist()),
        foreground_histogram=tuple(inside),
    )


def count_labels(segmentation: np.ndarray) -> dict[int, int]:
    """Voxels of every value that occurs. Raises ImageError for a value that is no integer."""
    values, counts = np.unique(segmentation, return_counts=True)
    if not np.array_equal(values, np.rint(values)):
        raise ImageError("the label map has values that are no integers")
    return {int(value): int(count) for value, count in zip(values, counts, strict=True)}


def orientation_of(properties: Mapping[str, Any]) -> str:
    """Where the axes of the file point to, from what the reader noted: ``LPS`` for the identity in ITK."""
    if "sitk_stuff" in properties:
        noted = properties["sitk_stuff"]
        direction = np.asarray(noted["direction"], dtype=float)
        rank = round(len(direction) ** 0.5)
        if "original_orientation" in noted:
            return str(noted["original_orientation"])
        if rank < 3:
            return ""
        axes = direction.reshape(rank, rank)[:3, :3] * np.array([[-1], [-1], [1]])  # ITK counts towards L and P
    elif "nibabel_stuff" in properties:
        axes = np.asarray(properties["nibabel_stuff"]["original_affine"], dtype=float)[:3, :3]
    else:
        return ""
    from nibabel.orientations import aff2axcodes

    affine = np.eye(4)
    affine[:3, :3] = axes
    return "".join(code or "?" for code in aff2axcodes(affine))


def colour_positions(labels: Sequence[int]) -> dict[int, int]:
    """Position in COLOR_CYCLE of every label, and of the background."""
    return {0: 0} | {label: 1 + index % (len(COLOR_CYCLE) - 1) for index, label in enumerate(labels)}


def draw_thumbnail(image: np.ndarray, segmentation: np.ndarray | None, labels: Sequence[int]) -> bytes:
    """JPEG of a slice (Y, X) between its percentiles 0.5 and 99.5, with those of ``labels`` in colour."""
    from matplotlib.image import imsave

    step = max(1, -(-max(image.shape) // _THUMBNAIL_PIXELS))
    image = np.nan_to_num(image[::step, ::step].astype(np.float64))
    image = np.clip(image, *np.percentile(image, PERCENTILES[::2]))
    shown = np.zeros(image.shape, int) if segmentation is None else segmentation[::step, ::step].astype(int)
    positions = colour_positions(labels)
    mapping = {int(value): positions.get(int(value), 0) for value in np.unique(shown)}
    buffer = io.BytesIO()
    imsave(buffer, generate_overlay(image, shown, mapping, overlay_intensity=0.4), format="jpg", pil_kwargs=_JPEG)
    return buffer.getvalue()
