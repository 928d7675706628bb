"""Items for the predictor within its memory limit: cases that do not fit are read and preprocessed in parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from nnunetv2.errors import UsageError
from nnunetv2.inference.case_items import CaseMaker, Item
from nnunetv2.inference.case_lists import case_identifier
from nnunetv2.inference.data_iterators import (
    iterate_tasks,
    preprocessing_iterator_fromfiles,
    preprocessing_iterator_fromnpy,
)
from nnunetv2.inference.limits.case_limits import fits_whole, voxels_of
from nnunetv2.inference.limits.sliced_case import SlicedCase, sliced_array, sliced_files

if TYPE_CHECKING:
    from nnunetv2.inference.logits_predictor import LogitsPredictor


def items_from_files(
    predictor: LogitsPredictor,
    images: list[list[str]],
    previous: list[str | None] | None,
    names: list[str] | None,
    threads: int,
    verbose: bool,
) -> Iterator[Item]:
    """Items of cases given as channel files, prepared by ``threads`` in the background."""
    model = (predictor.plans_manager, predictor.dataset_json, predictor.configuration_manager)
    if predictor.max_memory is None:
        return preprocessing_iterator_fromfiles(*(images, previous, names, *model, threads), verbose=verbose)
    maker = CaseMaker(*model)
    nones = [None] * len(images)
    tasks = (
        (
            case_identifier(files[0], predictor.dataset_json["file_ending"]),
            partial(_item_of_files, predictor, maker, verbose, files, earlier, name),
        )
        for files, earlier, name in zip(images, previous or nones, names or nones)
    )
    return iterate_tasks(tasks, len(images), threads)


def _item_of_files(
    predictor: LogitsPredictor,
    maker: CaseMaker,
    verbose: bool,
    files: list[str],
    previous: str | None,
    ofile: str | None,
) -> Item:
    if fits_whole(predictor, len(files), voxels_of(files)):
        return maker.item_from_files(maker.preprocessor(verbose), files, previous, ofile)
    folder = None if ofile is None else os.path.dirname(ofile) or "."
    case = sliced_files(files, predictor.plans_manager, predictor.configuration_manager, folder)
    return {"data": case, "ofile": ofile, "data_properties": case.properties}


def items_from_arrays(
    predictor: LogitsPredictor,
    images: Sequence[Any],
    previous: Sequence[np.ndarray | None] | None,
    properties: Sequence[dict],
    names: Sequence[str | None] | None,
    threads: int,
    verbose: bool,
) -> Iterator[Item]:
    """Items of cases given as arrays (C, Z, Y, X), or as something that is sliced like one."""
    model = (predictor.plans_manager, predictor.dataset_json, predictor.configuration_manager)
    if predictor.max_memory is None:
        return preprocessing_iterator_fromnpy(
            *([_whole(image) for image in images], previous, properties, names, *model, threads), verbose=verbose
        )
    maker = CaseMaker(*model)
    nones = [None] * len(images)
    tasks = (
        (
            f"number {number}" if name is None else name,
            partial(_item_of_array, predictor, maker, verbose, image, earlier, props, name),
        )
        for number, (image, earlier, props, name) in enumerate(
            zip(images, previous or nones, properties, names or nones)
        )
    )
    return iterate_tasks(tasks, len(images), threads)


def _item_of_array(
    predictor: LogitsPredictor,
    maker: CaseMaker,
    verbose: bool,
    image: Any,
    previous: np.ndarray | None,
    properties: dict,
    ofile: str | None,
) -> Item:
    case = array_item_in_parts(predictor, image, previous, properties)
    if case is not None:
        return {"data": case, "ofile": ofile, "data_properties": case.properties}
    return maker.item_from_array(maker.preprocessor(verbose), _whole(image), previous, properties, ofile)


def array_item_in_parts(
    predictor: LogitsPredictor, image: Any, previous: np.ndarray | None, properties: dict
) -> SlicedCase | None:
    """The case to be read in parts when it does not fit into the predictor's limit, else None."""
    if fits_whole(predictor, image.shape[0], prod(image.shape[1:])):
        return None
    if previous is not None:
        raise UsageError("an image larger than max_memory cannot have a segmentation of a previous stage")
    return sliced_array(image, properties, predictor.plans_manager, predictor.configuration_manager)


def _whole(image: Any) -> np.ndarray:
    """A blosc2 array, or something else that is sliced like an array, in memory."""
    return image if isinstance(image, np.ndarray) else np.asarray(image[...])
