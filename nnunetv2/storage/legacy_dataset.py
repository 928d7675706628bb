"""nnUNetDataset as it was up to v2.5: a dictionary of cases, ``load_case`` with three values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from os.path import join
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError
from nnunetv2.records.files import PathLike
from nnunetv2.storage.dataset import SEG_SUFFIX, read_properties
from nnunetv2.storage.stores import infer_dataset_class


def get_case_identifiers(folder: PathLike) -> list[str]:
    """Sorted cases in a folder of preprocessed cases, whatever their format."""
    return sorted(infer_dataset_class(folder).get_identifiers(folder))


class nnUNetDataset:
    """Maps each identifier to a dictionary about its case; reads blosc2 and NumPy folders.

    Parameters
    ----------
    folder : holds the preprocessed cases.
    case_identifiers : cases to use; None for all.
    num_images_properties_loading_threshold : below this number of cases, properties are kept in memory.
    folder_with_segs_from_previous_stage : as in the current classes.
    """

    def __init__(
        self,
        folder: PathLike,
        case_identifiers: Iterable[str] | None = None,
        num_images_properties_loading_threshold: int = 0,
        folder_with_segs_from_previous_stage: PathLike | None = None,
    ):
        dataset_class = infer_dataset_class(folder)
        self._store = dataset_class(folder, case_identifiers, folder_with_segs_from_previous_stage)
        ending = "b2nd" if "Blosc2" in dataset_class.__name__ else "npz"
        self.dataset: dict[str, dict[str, Any]] = {name: self._entry(name, ending) for name in self._store.identifiers}
        if len(self.dataset) < num_images_properties_loading_threshold:
            for name, entry in self.dataset.items():
                entry["properties"] = read_properties(folder, name)

    def _entry(self, name: str, ending: str) -> dict[str, Any]:
        folder, previous = self._store.source_folder, self._store.folder_with_segs_from_previous_stage
        entry = {
            "data_file": join(folder, f"{name}.{ending}"),
            "properties_file": join(folder, f"{name}.pkl"),
        }
        if ending == "b2nd":
            entry["seg_file"] = join(folder, f"{name}{SEG_SUFFIX}.{ending}")
        if previous is not None:
            entry["seg_from_prev_stage_file"] = join(previous, f"{name}.{ending}")
        return entry

    @property
    def source_folder(self) -> PathLike:
        """Folder of the cases."""
        return self._store.source_folder

    @property
    def identifiers(self) -> list[str]:
        """Sorted cases."""
        return list(self.dataset)

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key not in self.dataset:
            raise KeyError(f"no case {key!r} among the {len(self.dataset)} of {self.source_folder}")
        entry = dict(self.dataset[key])
        entry.setdefault("properties", read_properties(self.source_folder, key))
        return entry

    def __setitem__(self, key: str, value: dict[str, Any]) -> None:
        raise DatasetError("cases of a folder cannot be replaced; make a data set of another folder")

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[str]:
        return iter(self.dataset)

    def __contains__(self, key: object) -> bool:
        return key in self.dataset

    def keys(self):
        """The identifiers."""
        return self.dataset.keys()

    def values(self):
        """What is known about each case, without the properties unless they are kept in memory."""
        return self.dataset.values()

    def items(self):
        """Pairs of identifier and what is known about the case."""
        return self.dataset.items()

    def load_case(self, key: str) -> tuple[Any, Any, dict[str, Any]]:
        """``(data, seg, properties)``; a previous stage's segmentation becomes the second channel of ``seg``."""
        data, seg, seg_prev, properties = self._store.load_case(key)
        if seg_prev is not None:
            seg = np.concatenate([np.asarray(seg[:]), np.asarray(seg_prev[:])[None].astype(seg.dtype)])
        return data, seg, properties
