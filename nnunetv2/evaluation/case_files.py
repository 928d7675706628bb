"""Reading the cases of two folders, reference and prediction, in pairs: for measures beyond ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os.path import isdir, join

import numpy as np

from nnunetv2.errors import ImageError, MissingFileError
from nnunetv2.evaluation.evaluate_predictions import first_image, image_ending, names_to_compare
from nnunetv2.evaluation.metrics import LabelOrRegion, region_or_label_to_mask, whole_numbers
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_file_ending
from nnunetv2.records.files import PathLike


@dataclass(frozen=True, kw_only=True, slots=True)
class CasePair:
    """The two files of one case, and what reads them."""

    case: str
    reference: str
    prediction: str
    reader: BaseReaderWriter


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelMaps:
    """Reference and prediction of a case as int32 (Z, Y, X), and their spacing in mm in the same order."""

    reference: np.ndarray
    prediction: np.ndarray
    spacing: tuple[float, ...]

    def masks(self, label_or_region: LabelOrRegion, ignore_label: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Where reference and prediction have this label or region, and the reference has not ``ignore_label``."""
        masks = [region_or_label_to_mask(array, label_or_region) for array in (self.reference, self.prediction)]
        if ignore_label is not None:
            counted = self.reference != ignore_label
            masks = [mask & counted for mask in masks]
        return masks[0], masks[1]


def pairs_of_folders(folder_ref: PathLike, folder_pred: PathLike, chill: bool = False) -> list[CasePair]:
    """The cases of two folders, by name. File ending and reader follow the reference files.

    Raises MissingFileError when a folder, a reference or (unless ``chill``) a prediction lacks, DatasetError when
    nothing was predicted.
    """
    folder_ref, folder_pred = str(folder_ref), str(folder_pred)
    if not isdir(folder_ref):
        raise MissingFileError(f"the reference folder {folder_ref} does not exist")
    example = first_image(folder_ref)
    ending = image_ending(example)
    names = names_to_compare(folder_ref, folder_pred, ending, chill)
    reader = determine_reader_writer_from_file_ending(ending, join(folder_ref, example), verbose=False)()
    return [
        CasePair(
            case=name.removesuffix(ending),
            reference=join(folder_ref, name),
            prediction=join(folder_pred, name),
            reader=reader,
        )
        for name in names
    ]


def read_pair(pair: CasePair) -> LabelMaps:
    """Raises ImageError naming both files when their shapes differ or a value is no whole number."""
    reference, properties = pair.reader.read_seg(pair.reference)
    prediction, _ = pair.reader.read_seg(pair.prediction)
    if reference.shape != prediction.shape:
        raise ImageError(
            f"{pair.prediction} has shape {prediction.shape[1:]}, {pair.reference} {reference.shape[1:]}; they cannot "
            "be compared"
        )
    try:
        reference, prediction = whole_numbers(reference)[0], whole_numbers(prediction)[0]
    except ImageError as error:
        raise ImageError(f"{pair.prediction} cannot be compared with {pair.reference}: {error}") from error
    return LabelMaps(
        reference=reference, prediction=prediction, spacing=tuple(float(step) for step in properties["spacing"])
    )


def tasks_of(pairs: Sequence[CasePair], *arguments: object) -> Iterator[tuple[str, tuple]]:
    """Tasks for ``map_cases``: a pair and the same further arguments each."""
    return ((pair.case, (pair, *arguments)) for pair in pairs)
