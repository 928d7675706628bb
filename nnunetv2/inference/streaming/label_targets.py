"""Where runs of labels and probabilities are collected on the grid of the original image."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.errors import NO_ROOM
from nnunetv2.geometry.boxes import insert
from nnunetv2.inference.streaming.labels_from_logits import label_dtype
from nnunetv2.inference.streaming.slab_export import LabelRun
from nnunetv2.records.temporary import temporary_prefix
from nnunetv2.utilities.disk_space import no_scratch_room
from nnunetv2.utilities.label_handling.label_handling import LabelManager


class LabelTarget:
    """Label map of the whole image, and its probabilities when asked for; filled run by run.

    Parameters
    ----------
    properties : of the case; the box, and the shape before cropping, both transposed.
    transpose_backward : from transposed axes to those of the image reader.
    probabilities : collect them as well; in memory, or with ``scratch_folder`` in a file there that ``close`` removes.
    labels_on_disk : keep the label map in such a file, too.

    Attributes
    ----------
    segmentation : uint8 or uint16, axes as in the image reader; 0 outside the crop.
    probabilities : float32 (K, ...) or None; outside the crop the background has 1, or all regions 0.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        transpose_backward: Sequence[int],
        label_manager: LabelManager,
        probabilities: bool = False,
        scratch_folder: str | None = None,
        labels_on_disk: bool = False,
    ):
        shape = tuple(int(n) for n in properties["shape_before_cropping"])
        self._box = [[int(first), int(end)] for first, end in properties["bbox_used_for_cropping"]]
        self._scratch: list[_ScratchFile] = []
        self.labels_on_disk = labels_on_disk
        image_shape = tuple(shape[axis] for axis in transpose_backward)
        forward = [int(axis) for axis in np.argsort(transpose_backward)]
        folder = scratch_folder if labels_on_disk else None
        self.segmentation = self._zeros(image_shape, np.dtype(label_dtype(label_manager)), folder)
        self._labels = self.segmentation.transpose(forward)
        self.probabilities: np.ndarray | None = None
        if probabilities:
            full = (label_manager.num_segmentation_heads, *image_shape)
            self.probabilities = self._zeros(full, np.dtype(np.float32), scratch_folder)
            if not label_manager.has_regions:
                self.probabilities[0] = 1
            self._transposed = self.probabilities.transpose(0, *(axis + 1 for axis in forward))

    def _zeros(self, shape: tuple[int, ...], dtype: np.dtype, folder: str | None) -> np.ndarray:
        if folder is None:
            return np.zeros(shape, dtype=dtype)
        self._scratch.append(_ScratchFile(folder, shape, dtype))
        return self._scratch[-1].array

    def write(self, run: LabelRun) -> None:
        """Put a run where it belongs."""
        start = self._box[0][0] + run.first
        box = [[start, start + len(run.labels)], *self._box[1:]]
        insert(self._labels, run.labels, box)
        if self.probabilities is not None:
            insert(self._transposed, run.probabilities, box)
        for scratch in self._scratch:
            scratch.release()

    def result(self) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The segmentation, or (segmentation, probabilities)."""
        return self.segmentation if self.probabilities is None else (self.segmentation, self.probabilities)

    def close(self) -> None:
        """Remove the files, if there are any."""
        for scratch in self._scratch:
            scratch.close()


class _ScratchFile:
    """An array of zeros in a file that has no name any more where the system allows that."""

    def __init__(self, folder: str, shape: tuple[int, ...], dtype: np.dtype):
        os.makedirs(folder, exist_ok=True)
        size = dtype.itemsize * int(np.prod(shape))
        handle, self._path = tempfile.mkstemp(prefix=temporary_prefix() + "prediction_", dir=folder)
        try:
            _reserve(handle, size)
            self._map = mmap.mmap(handle, 0)
        except (OSError, ValueError) as error:
            os.unlink(self._path)
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise no_scratch_room(folder, size, NO_ROOM[error.errno]) from error
            raise
        finally:
            os.close(handle)
        self.array = np.frombuffer(self._map, dtype=dtype).reshape(shape)
        with contextlib.suppress(PermissionError):  # Windows keeps the names of open files
            os.unlink(self._path)

    def release(self) -> None:
        """Let the system write the pages out and reuse their memory."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)

    def close(self) -> None:
        """Give the disk space back, once nobody uses the array any more."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def _reserve(handle: int, size: int) -> None:
    """Give an empty file its size and its place on the disk.

    Writing to a mapped file that has no place yet ends the process with SIGBUS when the disk is full.
    """
    os.ftruncate(handle, size)
    if hasattr(os, "posix_fallocate") and size:
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # what some file systems and C libraries say
                raise
