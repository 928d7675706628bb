"""From the label values in files to the dense numbers a network is trained on, and back.

A network has one output channel per label, so inside training label ``i`` is channel ``i``. dataset.json may name any
integers (0, 205, 420, ...). They become 0, 1, 2, ... where a label map is read for preprocessing, and what they were
where a prediction turns into a label map. Data sets whose values are dense already are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnunetv2.errors import ImageError
from nnunetv2.records.labels import HIGHEST_LABEL, Labels

_HIGHEST_STORED = np.iinfo(np.int16).max
"""Preprocessed label maps are int16."""
_UNKNOWN = -1


@dataclass(frozen=True)
class LabelValues:
    """The value in files of each dense number."""

    originals: tuple[int, ...] = ()
    """``originals[i]`` is the value of dense number ``i``: labels ascending, then the ignore label. Empty: the same."""

    @classmethod
    def of(cls, labels: Labels) -> LabelValues:
        """The map for the labels of a data set.

        Labels and ignore label are numbered 0, 1, 2, ... Regions have channels by their place in dataset.json instead,
        so their labels stay as they are, as in nnU-Net v2, unless one is too high to be stored in preprocessed data.
        """
        ignore = () if labels.ignore_label is None else (labels.ignore_label,)
        originals = labels.all_labels + ignore
        fits = originals == tuple(range(len(originals)))
        if fits or (labels.regions is not None and max(originals) <= _HIGHEST_STORED):
            return cls()
        return cls(originals)

    @property
    def is_identity(self) -> bool:
        """Whether files hold the dense numbers themselves."""
        return not self.originals

    def number(self, value: int) -> int:
        """Dense number of one value; the value itself when it is no label."""
        return self.originals.index(int(value)) if int(value) in self.originals else int(value)

    def to_dense(self, seg: np.ndarray) -> np.ndarray:
        """A label map from a file, any shape, with dense numbers: a new array of the same dtype where that is enough.

        Raises ImageError listing values that dataset.json does not name.
        """
        if self.is_identity:
            return seg
        table = np.full(HIGHEST_LABEL + 1, _UNKNOWN, dtype=np.int32)
        table[list(self.originals)] = np.arange(len(self.originals))
        with np.errstate(invalid="ignore"):  # NaN has no integer; the comparison below notices it
            index = np.clip(seg, 0, HIGHEST_LABEL).astype(np.uint16)
        dense = table[index]
        wrong = (dense == _UNKNOWN) | (index != seg)
        if wrong.any():
            found = ", ".join(f"{value:g}" for value in np.unique(np.asarray(seg)[wrong])[:10])
            raise ImageError(
                f"the segmentation holds {found} in {np.count_nonzero(wrong):,} voxels, but labels in dataset.json "
                f"names {', '.join(map(str, self.originals))}. Correct the label map, or name the value in dataset.json"
            )
        enough = seg.dtype.kind == "f" or np.iinfo(seg.dtype).max >= len(self.originals)
        return dense.astype(seg.dtype) if enough else dense

    def to_original(self, dense: Any) -> Any:
        """A label map of dense numbers, array or tensor of integers, with the values of files.

        A new array of uint8 or uint16, whichever is enough, or a tensor of int64; the same object when nothing changes.
        """
        if self.is_identity:
            return dense
        if not isinstance(dense, np.ndarray):
            import torch

            return torch.tensor(self.originals, device=dense.device)[dense.long()]
        return np.asarray(self.originals, dtype=np.min_scalar_type(max(self.originals)))[dense]

    def dense_labels(self, label_dict: Mapping[str, Any]) -> dict[str, Any]:
        """The ``labels`` entry of dataset.json with dense numbers, names and order kept."""
        return {
            name: [self.number(v) for v in value] if isinstance(value, (list, tuple)) else self.number(value)
            for name, value in label_dict.items()
        }
