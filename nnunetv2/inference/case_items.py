"""One case made ready for the network: preprocessed, with the previous stage of a cascade behind the image channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from nnunetv2.errors import ImageError
from nnunetv2.inference.case_lists import case_identifier
from nnunetv2.inference.limits.sliced_case import SlicedCase
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot, determine_num_input_channels
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager

STAGE = "Preprocessing"
Item = dict[str, Any]
Task = tuple[str, Callable[[], Item]]
"""Case id for error messages, and the function that makes the item."""


@dataclass(frozen=True)
class CaseMaker:
    """Preprocesses single cases for one model: what all cases of one iterator have in common."""

    plans_manager: PlansManager
    dataset_json: dict
    configuration_manager: ConfigurationManager

    def preprocessor(self, verbose: bool) -> Any:
        """A new preprocessor of the class the plans name."""
        return self.configuration_manager.preprocessor_class(verbose=verbose)

    def item_from_files(
        self, preprocessor: Any, files: list[str], previous_stage_file: str | None, ofile: str | None
    ) -> Item:
        """Item of a case given as channel files in order, and a segmentation file for the second stage of a cascade."""
        data, seg, properties = preprocessor.run_case(
            files, previous_stage_file, self.plans_manager, self.configuration_manager, self.dataset_json
        )
        return self._item(data, seg if previous_stage_file is not None else None, properties, ofile)

    def item_from_array(
        self,
        preprocessor: Any,
        image: np.ndarray,
        previous_stage: np.ndarray | None,
        properties: dict,
        ofile: str | None,
    ) -> Item:
        """Item of a case given as array (C, Z, Y, X), axes as its reader gives them; previous stage (1, Z, Y, X)."""
        data, seg, *rest = preprocessor.run_case_npy(
            image, previous_stage, properties, self.plans_manager, self.configuration_manager, self.dataset_json
        )
        # Preprocessors made before v2.6 return two values and complete the given properties.
        properties = rest[0] if rest else properties
        return self._item(data, seg if previous_stage is not None else None, properties, ofile)

    def _item(self, data: np.ndarray, previous_stage: np.ndarray | None, properties: dict, ofile: str | None) -> Item:
        if previous_stage is not None:
            labels = self.plans_manager.get_label_manager(self.dataset_json).dense.foreground_labels
            data = np.vstack((data, convert_labelmap_to_one_hot(previous_stage[0], labels, data.dtype)))
            properties.pop("class_locations", None)  # sampled from the previous stage's labels, of no use to anybody
        expected = determine_num_input_channels(self.plans_manager, self.configuration_manager, self.dataset_json)
        # More are allowed: preprocessors and trainers that belong together may add channels of their own.
        if len(data) < expected:
            raise ImageError(
                f"the case has {len(data)} channels after preprocessing, the network takes {expected}. Check the "
                "number of image files, and for a cascade the previous-stage segmentation"
            )
        return {"data": data, "ofile": ofile, "data_properties": properties}


def file_tasks(
    maker: CaseMaker,
    make_preprocessor: Callable[[], Any],
    list_of_lists: Sequence[list[str]],
    previous_stage_files: Sequence[str | None] | None,
    ofiles: Sequence[str | None] | None,
) -> Iterator[Task]:
    """Tasks of cases given as files."""
    nones = [None] * len(list_of_lists)
    for files, previous, ofile in zip(list_of_lists, previous_stage_files or nones, ofiles or nones):
        case = case_identifier(files[0], maker.dataset_json["file_ending"])
        yield case, partial(maker.item_from_files, make_preprocessor(), files, previous, ofile)


def array_tasks(
    maker: CaseMaker,
    make_preprocessor: Callable[[], Any],
    images: Sequence[np.ndarray],
    previous_stages: Sequence[np.ndarray | None] | None,
    properties: Sequence[dict],
    ofiles: Sequence[str | None] | None,
) -> Iterator[Task]:
    """Tasks of cases given as arrays. These have no names of their own: the output name or the number stands in."""
    nones = [None] * len(images)
    cases = zip(images, previous_stages or nones, properties, ofiles or nones)
    for number, (image, previous, props, ofile) in enumerate(cases):
        case = f"number {number}" if ofile is None else ofile
        yield case, partial(maker.item_from_array, make_preprocessor(), image, previous, props, ofile)


def as_tensor(item: Item) -> Item:
    """The item with ``data`` as a contiguous float32 tensor; a case that is read in parts stays as it is."""
    if isinstance(item["data"], SlicedCase):
        return item
    return item | {"data": torch.from_numpy(np.ascontiguousarray(item["data"], dtype=np.float32))}
