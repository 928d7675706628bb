"""Where runs of labels and probabilities are collected on the grid of the original image."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.geometry.boxes import insert
from nnunetv2.inference.labels_from_logits import label_dtype
from nnunetv2.inference.slab_export import LabelRun
from nnunetv2.utilities.label_handling.label_handling import LabelManager


class LabelTarget:
    """Label map of the whole image, and its probabilities when asked for; filled run by run.

    Parameters
    ----------
    properties : of the case; the box, and the shape before cropping, both transposed.
    transpose_backward : from transposed axes to those of the image reader.
    probabilities : collect them as well; in memory, or with ``scratch_folder`` in a file there that ``close`` removes.

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
    ):
        shape = tuple(int(n) for n in properties["shape_before_cropping"])
        self._box = [[int(first), int(end)] for first, end in properties["bbox_used_for_cropping"]]
        self._labels = np.zeros(shape, dtype=label_dtype(label_manager))
        self.segmentation = self._labels.transpose(transpose_backward)
        self.probabilities: np.ndarray | None = None
        self._scratch: _ScratchFile | None = None
        if probabilities:
            full = (label_manager.num_segmentation_heads, *self.segmentation.shape)
            if scratch_folder is None:
                self.probabilities = np.zeros(full, dtype=np.float32)
            else:
                self._scratch = _ScratchFile(scratch_folder, full)
                self.probabilities = self._scratch.array
            if not label_manager.has_regions:
                self.probabilities[0] = 1
            forward = np.argsort(transpose_backward)
            self._transposed = self.probabilities.transpose(0, *(int(axis) + 1 for axis in forward))

    def write(self, run: LabelRun) -> None:
        """Put a run where it belongs."""
        start = self._box[0][0] + run.first
        box = [[start, start + len(run.labels)], *self._box[1:]]
        insert(self._labels, run.labels, box)
        if self.probabilities is not None:
            insert(self._transposed, run.probabilities, box)
            if self._scratch is not None:
                self._scratch.release()

    def result(self) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """The segmentation, or (segmentation, probabilities)."""
        return self.segmentation if self.probabilities is None else (self.segmentation, self.probabilities)

    def close(self) -> None:
        """Remove the file of the probabilities, if there is one."""
        if self._scratch is not None:
            self._scratch.close()


class _ScratchFile:
    """A float32 array of zeros in a file that has no name any more where the system allows that."""

    def __init__(self, folder: str, shape: tuple[int, ...]):
        os.makedirs(folder, exist_ok=True)
        handle, self._path = tempfile.mkstemp(prefix=".tmp_probabilities_", dir=folder)
        try:
            os.ftruncate(handle, 4 * int(np.prod(shape)))
            self._map = mmap.mmap(handle, 0)
        except (OSError, ValueError):
            os.unlink(self._path)
            raise
        finally:
            os.close(handle)
        self.array = np.frombuffer(self._map, dtype=np.float32).reshape(shape)
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
