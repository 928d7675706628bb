"""Label maps in small integers: readers deliver float32, which takes four times the memory."""

from __future__ import annotations

import numpy as np


def compact_labels(seg: np.ndarray) -> np.ndarray:
    """``seg`` as int8 or int16 when that changes no value, to save memory; else ``seg`` itself."""
    if not seg.size or seg.dtype.kind not in "fiu" or seg.dtype.itemsize == 1:
        return seg
    low, high = seg.min(), seg.max()
    dtype = next((t for t in (np.int8, np.int16) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None)
    if dtype is None or dtype == seg.dtype:
        return seg
    result = np.empty(seg.shape, dtype)
    for plane, target in zip(np.moveaxis(seg, 1, 0), np.moveaxis(result, 1, 0)):
        target[...] = plane
        if seg.dtype.kind == "f" and not np.array_equal(target, plane):
            return seg
    return result
