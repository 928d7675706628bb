"""How label values are stored: one rule for every writer."""

from __future__ import annotations

import numpy as np

from nnunetv2.errors import ImageError

# 255 itself already needs uint16; files of earlier versions are written that way.
_FIRST_16_BIT_LABEL = 255
_HIGHEST_LABEL = np.iinfo(np.uint16).max


def label_dtype(highest: float) -> type[np.unsignedinteger]:
    """uint8 when the highest label is below 255, else uint16."""
    return np.uint8 if highest < _FIRST_16_BIT_LABEL else np.uint16


def as_stored_labels(seg: np.ndarray, output_fname: str) -> np.ndarray:
    """A label map (Z, Y, X) of any dtype as uint8 or uint16, see ``label_dtype``.

    Raises ImageError naming ``output_fname`` when it is not 3-D or holds anything but integers from 0 to 65535.
    """
    seg = np.asarray(seg)
    if seg.ndim != 3:
        raise ImageError(
            f"{output_fname} was not written: a label map has the axes (Z, Y, X), this array has shape {seg.shape}. "
            "Remove the channel axis; 2D label maps have Z = 1"
        )
    lowest, highest = (float(seg.min()), float(seg.max())) if seg.size else (0.0, 0.0)
    if not (lowest >= 0 and highest <= _HIGHEST_LABEL):  # written so that NaN is refused as well
        raise ImageError(
            f"{output_fname} was not written: its values reach from {lowest:g} to {highest:g}, labels are integers "
            f"from 0 to {_HIGHEST_LABEL}"
        )
    stored = seg.astype(label_dtype(highest), copy=False)
    if seg.dtype.kind == "f" and not np.array_equal(stored, seg):
        raise ImageError(f"{output_fname} was not written: it has values that are no integers, so it is no label map")
    return stored
