"""Intensity normalization of one channel: z-score, CT window, rescaling, none.

Own schemes: a subclass of ImageNormalization in a file beside this one; plans name its class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from nnunetv2.errors import ImageError, PlansError


class ImageNormalization(ABC):
    """Base of all schemes. One object normalizes one channel of one data set.

    Parameters
    ----------
    use_mask_for_norm : look only at voxels with ``seg >= 0`` (inside the nonzero mask), for schemes that can.
    intensityproperties : foreground statistics of the channel from the plans: mean, std, percentile_00_5, ...
    target_dtype : floating type of the result.
    """

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true: bool | None = None
    """Whether voxels outside the mask keep their zeros when the mask is used; planners read it."""

    def __init__(
        self,
        use_mask_for_norm: bool | None = None,
        intensityproperties: Mapping[str, float] | None = None,
        target_dtype: type[np.number] = np.float32,
    ):
        if use_mask_for_norm is not None and not isinstance(use_mask_for_norm, (bool, np.bool_)):
            raise PlansError(f"use_mask_for_norm is {use_mask_for_norm!r}; it must be true or false for each channel")
        if intensityproperties is not None and not isinstance(intensityproperties, Mapping):
            raise PlansError(f"intensity properties must be a mapping of names to numbers, not {intensityproperties!r}")
        self.use_mask_for_norm = use_mask_for_norm
        self.intensityproperties = {} if intensityproperties is None else intensityproperties
        self.target_dtype = target_dtype

    @property
    def smallest_divisor(self) -> float:
        """Lower bound of anything divided by, so that constant images do not become infinite."""
        return 1e-4 if np.dtype(self.target_dtype) == np.float16 else 1e-8

    @abstractmethod
    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """Normalized copy of ``image`` (Z, Y, X) in the target dtype; ``seg`` (Z, Y, X) is -1 outside the mask."""


def _on_a_copy(scheme: ImageNormalization, apply, image: np.ndarray, seg: np.ndarray | None) -> np.ndarray:
    """What ``apply``, which works in place, makes of ``image`` in the target type of the scheme."""
    result = np.array(image, dtype=scheme.target_dtype)
    apply(scheme, result, seg)
    return result


def normalize_in_place(scheme: ImageNormalization, image: np.ndarray, seg: np.ndarray | None = None) -> None:
    """``image[...] = scheme.run(image, seg)`` for a float32 ``image`` (Z, Y, X); schemes in this file need no copy.

    A class that defines its own ``run`` is asked through it.
    """
    owner = next(c for c in type(scheme).__mro__ if "run" in vars(c))
    if "_apply" in vars(owner) and image.dtype == scheme.target_dtype:
        owner._apply(scheme, image, seg)
    else:
        image[...] = scheme.run(image, seg)


class ZScoreNormalization(ImageNormalization):
    """Zero mean and unit variance of the image, or of the voxels inside the mask (the others then stay as they are)."""

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true = True

    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """See the base class. Raises ImageError if the mask is to be used and ``seg`` is None."""
        return _on_a_copy(self, ZScoreNormalization._apply, image, seg)

    def _apply(self, image: np.ndarray, seg: np.ndarray | None) -> None:
        if not self.use_mask_for_norm:
            self._standardized(image)
            return
        if seg is None:
            raise ImageError("z-score normalization inside the nonzero mask needs the segmentation that holds the mask")
        inside = seg >= 0
        if inside.any():
            image[inside] = self._standardized(image[inside])

    def _standardized(self, values: np.ndarray) -> np.ndarray:
        """``values`` with mean 0 and population standard deviation 1; in place."""
        mean, std = _mean_and_std(values)
        values -= values.dtype.type(mean)
        values /= values.dtype.type(max(std, self.smallest_divisor))
        return values


def _mean_and_std(values: np.ndarray, chunk: int = 1 << 20) -> tuple[float, float]:
    """Mean and population standard deviation with float64 sums, without a float64 copy of the whole array.

    Sums in float32 would depend on the memory layout of the array.
    """
    flat = values.ravel(order="K")
    starts = range(0, flat.size, chunk)
    mean = sum(float(flat[i : i + chunk].sum(dtype=np.float64)) for i in starts) / flat.size
    squares = 0.0
    for i in starts:
        centred = flat[i : i + chunk].astype(np.float64) - mean
        squares += float(centred @ centred)
    return mean, (squares / flat.size) ** 0.5


class CTNormalization(ImageNormalization):
    """Clip to the 0.5 and 99.5 percentiles of the foreground, then z-score with the foreground's statistics."""

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true = False
    needed_properties = ("percentile_00_5", "percentile_99_5", "mean", "std")

    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """See the base class. Raises PlansError if a statistic is missing."""
        return _on_a_copy(self, CTNormalization._apply, image, seg)

    def _apply(self, image: np.ndarray, seg: np.ndarray | None) -> None:
        missing = [key for key in self.needed_properties if key not in self.intensityproperties]
        if missing:
            raise PlansError(
                f"CTNormalization needs {', '.join(missing)}, "
                "but foreground_intensity_properties_per_channel of the plans lacks them"
            )
        low, high, mean, std = (self.intensityproperties[key] for key in self.needed_properties)
        mean, std = image.dtype.type(mean), image.dtype.type(max(std, self.smallest_divisor))
        for plane in image:  # all steps while the plane is in the cache
            np.clip(plane, low, high, out=plane)
            plane -= mean
            plane /= std


class NoNormalization(ImageNormalization):
    """Intensities as they are."""

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true = False

    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """See the base class."""
        return _on_a_copy(self, NoNormalization._apply, image, seg)

    def _apply(self, image: np.ndarray, seg: np.ndarray | None) -> None:
        return None


class RescaleTo01Normalization(ImageNormalization):
    """Shift and scale so that the image spans 0 to 1."""

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true = False

    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """See the base class."""
        return _on_a_copy(self, RescaleTo01Normalization._apply, image, seg)

    def _apply(self, image: np.ndarray, seg: np.ndarray | None) -> None:
        image -= image.min()
        image /= image.dtype.type(max(image.max(), self.smallest_divisor))


class RGBTo01Normalization(ImageNormalization):
    """8-bit colours divided by 255."""

    leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true = False

    def run(self, image: np.ndarray, seg: np.ndarray | None = None) -> np.ndarray:
        """See the base class. Raises ImageError for values below 0 or above 255."""
        return _on_a_copy(self, RGBTo01Normalization._apply, image, seg)

    def _apply(self, image: np.ndarray, seg: np.ndarray | None) -> None:
        low, high = image.min(), image.max()
        if low < 0 or high > 255:
            raise ImageError(f"RGBTo01Normalization takes colours from 0 to 255; this channel spans {low} to {high}")
        image /= image.dtype.type(255)
