"""Refusing images with voxels that are NaN or infinite, by file, channel and place."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.records.files import PathLike


class NotFiniteError(ImageError):
    """Voxels of an image are NaN or infinite; ``channel`` is the first channel that has some."""

    channel = 0

    def in_files(self, files: Sequence[PathLike], channels: int) -> ImageError:
        """This error with the file of the channel; with all files where they do not have one channel each."""
        one = channels == len(files)
        return ImageError(f"{', '.join(os.fspath(f) for f in ([files[self.channel]] if one else files))}: {self}")


def require_finite(data: np.ndarray, first: Sequence[int] = (0, 0, 0), axes: Sequence[int] = (0, 1, 2)) -> None:
    """Raise NotFiniteError if a channel holds NaN or infinity; the spline prefilter would spread them everywhere.

    ``data`` (C, ...) begins at voxel ``first`` of an image whose axes were permuted by ``axes``; the error tells the
    place in the file, and how many there are in ``data``.
    """
    for index, channel in enumerate(data):
        if np.isfinite(channel.min(initial=0)) and np.isfinite(channel.max(initial=0)):
            continue
        bad = ~np.isfinite(channel)
        place = [0, 0, 0]
        for axis, start, step in zip(axes, first, np.unravel_index(int(bad.argmax()), bad.shape)):
            place[axis] = int(start + step)
        nan = int(np.count_nonzero(np.isnan(channel)))
        counts = [
            f"{count} {kind}" for count, kind in ((nan, "NaN"), (int(np.count_nonzero(bad)) - nan, "infinite")) if count
        ]
        error = NotFiniteError(
            f"channel {index} has voxels that are not finite: {' and '.join(counts)}, the first at {tuple(place)} "
            "(Z, Y, X). Replace them by real values (np.nan_to_num), or leave the case out"
        )
        error.channel = index
        raise error
