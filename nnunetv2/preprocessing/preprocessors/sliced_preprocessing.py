"""Preprocessing of a case to predict that is larger than memory: cropped, normalized and resampled slice by slice.

The numbers are those of ``DefaultPreprocessor``. What needs the whole volume at once is refused with a reason: masks
with filled holes (normalization inside the nonzero mask), and resampling other than the stock one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from nnunetv2.errors import ImageError, UsageError
from nnunetv2.geometry.interpolation import nearest_indices
from nnunetv2.imageio.finite_voxels import require_finite
from nnunetv2.preprocessing.normalization import default_normalization_schemes as schemes
from nnunetv2.preprocessing.preprocessors.case_steps import target_spacing
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.preprocessing.resampling.slab_resampling import stock_resampler, stock_settings
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

BLOCK = 32
"""Output slices that are made at a time; the same runs as for whole volumes, so the numbers are the same."""

_SLICES_PER_READ = 16
_CHUNK = 1 << 20  # values per sum of ``default_normalization_schemes``

Normalize = Callable[[np.ndarray], np.ndarray]


class SlicedImages(Protocol):
    """Images of a case that are read in parts, axes as from the reader."""

    shape: Sequence[int]
    """(C, Z, Y, X)."""
    properties: dict[str, Any]

    def read(self, index: tuple[slice, slice, slice]) -> np.ndarray:
        """float32 (C, ...) of slices along Z, Y, X."""


class SlicedPreprocessing:
    """A case in network space, made in blocks of ``BLOCK`` slices when asked for.

    Attributes
    ----------
    shape : (C, Z, Y, X) in network space.
    properties : completed as ``DefaultPreprocessor.run_case`` does.
    """

    def __init__(self, images: SlicedImages, plans_manager: PlansManager, configuration: ConfigurationManager):
        self._images = images
        self._axes = [int(axis) for axis in plans_manager.transpose_forward]
        self.properties = dict(images.properties)
        shape = [int(images.shape[axis + 1]) for axis in self._axes]
        spacing = [float(images.properties["spacing"][axis]) for axis in self._axes]
        self._box = self._nonzero_box(shape)
        cropped = tuple(end - first for first, end in self._box)
        self.properties.update(
            shape_before_cropping=tuple(shape),
            bbox_used_for_cropping=self._box,
            shape_after_cropping_and_before_resampling=cropped,
        )
        settings = stock_settings(configuration.resampling_fn_data, allowed_orders=(1, 3))
        if settings is None:
            raise UsageError("images larger than --max-memory can be resampled by resample_data_or_seg_to_shape only")
        new_spacing = target_spacing(configuration.spacing, spacing)
        new_shape = tuple(int(n) for n in compute_new_shape(cropped, spacing, new_spacing))
        self._resampler = stock_resampler(settings, cropped, new_shape, spacing, new_spacing, torch.device("cpu"))
        if self._resampler.separate_axis not in (None, 0) and cropped != new_shape:
            raise UsageError(
                "images larger than --max-memory can be resampled with a separate axis only where that is the first "
                "one after transpose_forward"
            )
        self.shape = (int(images.shape[0]), *new_shape)
        ranges = self._ranges()
        self._normalize = [
            self._normalizer(channel, plans_manager, configuration, ranges[channel]) for channel in range(self.shape[0])
        ]
        # Every scheme keeps the order of values, so the range of the normalized volume is that of its ends.
        self._limits = [
            tuple(float(v) for v in normalize(np.array(ends, np.float32).reshape(1, 1, 2)).ravel())
            for normalize, ends in zip(self._normalize, ranges)
        ]

    def block(self, number: int) -> torch.Tensor:
        """Slices ``number * BLOCK`` and the following: float32 (C, at most BLOCK, Y, X)."""
        first, end = number * BLOCK, min((number + 1) * BLOCK, self.shape[1])
        low, high = self._resampler.sources(first, end)
        raw = self._cropped(low, high)
        resize = self._resampler.run(first, end)
        result = torch.empty((self.shape[0], end - first, *self.shape[2:]))
        for channel, normalize in enumerate(self._normalize):
            values = torch.from_numpy(normalize(raw[channel]))
            if not self._resampler.axes:
                result[channel] = values
            elif self._resampler.separate_axis == 0:
                result[channel] = _clipped_planes(resize(values), values, self._nearest(first, end) - low)
            else:
                result[channel] = resize(values).clamp_(*self._limits[channel])
        return result

    def _nearest(self, first: int, end: int) -> np.ndarray:
        return nearest_indices(self._resampler.old_shape[0], self._resampler.new_shape[0])[first:end]

    def _read(self, box: Sequence[Sequence[int]]) -> np.ndarray:
        """float32 (C, Z, Y, X) of a box of the transposed image."""
        index = [slice(None)] * 3
        for axis, (first, end) in zip(self._axes, box):
            index[axis] = slice(first, end)
        part = self._images.read((index[0], index[1], index[2]))
        return part.transpose(0, *(axis + 1 for axis in self._axes))

    def _cropped(self, first: int, end: int) -> np.ndarray:
        start = self._box[0][0]
        return np.ascontiguousarray(self._read([[start + first, start + end], *self._box[1:]]))

    def _parts(self) -> Iterator[np.ndarray]:
        """The cropped image, some slices at a time."""
        length = self._box[0][1] - self._box[0][0]
        for first in range(0, length, _SLICES_PER_READ):
            yield self._cropped(first, min(length, first + _SLICES_PER_READ))

    def _nonzero_box(self, shape: Sequence[int]) -> list[list[int]]:
        """The box around everything that is not zero in any channel; the full extent when all is zero."""
        occupied = [np.zeros(n, dtype=bool) for n in shape]
        for first in range(0, shape[0], _SLICES_PER_READ):
            end = min(shape[0], first + _SLICES_PER_READ)
            part = self._read([[first, end], [0, shape[1]], [0, shape[2]]])
            mask = (part != 0).any(axis=0)
            occupied[0][first:end] = mask.any(axis=(1, 2))
            occupied[1] |= mask.any(axis=(0, 2))
            occupied[2] |= mask.any(axis=(0, 1))
        if not occupied[0].any():
            return [[0, n] for n in shape]
        return [[int(np.flatnonzero(axis)[0]), int(np.flatnonzero(axis)[-1]) + 1] for axis in occupied]

    def _ranges(self) -> list[tuple[float, float]]:
        """Smallest and largest value of each channel. Raises ImageError for NaN and infinity."""
        lows, highs = [], []
        for number, part in enumerate(self._parts()):
            starts = [start for start, _ in self._box]
            require_finite(part, [starts[0] + number * _SLICES_PER_READ, *starts[1:]], self._axes)
            lows.append(part.min(axis=(1, 2, 3)))
            highs.append(part.max(axis=(1, 2, 3)))
        return list(zip(np.min(lows, axis=0).tolist(), np.max(highs, axis=0).tolist()))

    def _normalizer(
        self,
        channel: int,
        plans_manager: PlansManager,
        configuration: ConfigurationManager,
        ends: tuple[float, float],
    ) -> Normalize:
        """A function for parts of one channel that gives what the scheme of the plans gives for the whole."""
        name = configuration.normalization_schemes[channel]
        masked = bool(configuration.use_mask_for_norm[channel])
        statistics = plans_manager.foreground_intensity_properties_per_channel[str(channel)]
        if name in ("CTNormalization", "NoNormalization", "RGBTo01Normalization"):
            return getattr(schemes, name)(masked, statistics).run
        if name == "RescaleTo01Normalization":
            return _rescaled(*ends)
        if name == "ZScoreNormalization" and not masked:
            return _standardized(*self._mean_and_std(channel))
        reason = "inside the nonzero mask" if masked else "which is not one of this package"
        raise UsageError(
            f"an image larger than --max-memory cannot be normalized by {name}, {reason}: that needs all of it at once"
        )

    def _mean_and_std(self, channel: int) -> tuple[float, float]:
        """As ``default_normalization_schemes`` computes them, in the same chunks."""
        size = int(np.prod([end - first for first, end in self._box]))
        mean = sum(float(chunk.sum(dtype=np.float64)) for chunk in self._chunks(channel)) / size
        squares = 0.0
        for chunk in self._chunks(channel):
            centred = chunk.astype(np.float64) - mean
            squares += float(centred @ centred)
        return mean, (squares / size) ** 0.5

    def _chunks(self, channel: int) -> Iterator[np.ndarray]:
        rest = np.empty(0, np.float32)
        for part in self._parts():
            rest = np.concatenate([rest, part[channel].ravel()])
            while len(rest) >= _CHUNK:
                yield rest[:_CHUNK]
                rest = rest[_CHUNK:]
        if len(rest):
            yield rest


def _standardized(mean: float, std: float) -> Normalize:
    divisor = np.float32(max(std, schemes.ZScoreNormalization(False, {}).smallest_divisor))
    return lambda part: (part - np.float32(mean)) / divisor


def _rescaled(low: float, high: float) -> Normalize:
    span = np.float32(high) - np.float32(low)
    divisor = np.float32(max(span, schemes.RescaleTo01Normalization(False, {}).smallest_divisor))
    return lambda part: (part - np.float32(low)) / divisor


def _clipped_planes(resized: torch.Tensor, planes: torch.Tensor, sources: np.ndarray) -> torch.Tensor:
    """Each resized plane clipped to the range of the plane it was made of."""
    index = torch.from_numpy(sources.copy())
    low, high = planes.amin(dim=(1, 2))[index], planes.amax(dim=(1, 2))[index]
    return torch.minimum(torch.maximum(resized, low[:, None, None]), high[:, None, None])


def refuse_cascade(configuration: ConfigurationManager, files: Sequence[str]) -> None:
    """Raise ImageError for the second stage of a cascade, whose labels of the first stage are taken whole."""
    if configuration.previous_stage_name is not None:
        raise ImageError(
            f"{files[0]} does not fit into --max-memory, and the second stage of a cascade cannot read images in parts"
        )
