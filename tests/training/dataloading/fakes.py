"""Data sets in memory and a label manager, as far as the loader looks at them."""

from __future__ import annotations

import numpy as np

from nnunetv2.utilities.label_handling.label_handling import LabelManager

CASES = ("case_a", "case_b", "case_c")


class FakeDataset:
    """Cases whose data are the index of the case plus 1, with a box of label 1 and one of label 2."""

    def __init__(self, shape=(40, 60, 50), channels=2, cascade=False, previous=2, outside=False):
        self.identifiers = list(CASES)
        self.channels, self.previous, self.cascade = channels, previous, cascade
        self.seg = np.zeros((1, *shape), dtype=np.int16)
        low, high = [n // 4 for n in shape], [max(n // 2, n // 4 + 1) for n in shape]
        self.seg[(0, *(slice(a, b) for a, b in zip(low, high)))] = 1
        self.seg[0, -1, -1, -1] = 2
        if outside:
            self.seg[0, 0] = -1
        self.locations = {label: np.argwhere(self.seg == label) for label in (1, 2)}

    def load_case(self, identifier):
        index = self.identifiers.index(identifier)
        data = np.full((self.channels, *self.seg.shape[1:]), index + 1, dtype=np.float32)
        previous = np.full(self.seg.shape[1:], self.previous, dtype=np.uint8) if self.cascade else None
        return data, self.seg, previous, {"class_locations": self.locations}


def label_manager(ignore=False, regions=False):
    labels = {"background": 0, "a": [1, 2] if regions else 1, "b": 2}
    if ignore:
        labels["ignore"] = 3
    return LabelManager(labels, [1, 2] if regions else None)
