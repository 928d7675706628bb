"""The engine of all recipes: from the files of a public data set to a raw data set of nnU-Net."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from os.path import join
from pathlib import Path

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.dataset_conversion.generate_dataset_json import generate_dataset_json
from nnunetv2.dataset_conversion.image_files import copy_complete, write_with_exchanged_labels
from nnunetv2.dataset_conversion.new_dataset import dataset_name, new_raw_dataset, require_free_number
from nnunetv2.dataset_conversion.recipes import ConversionRecipe, recipe_named
from nnunetv2.dataset_conversion.source_cases import SourceCase, cases_of, files_below
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.files import PathLike, write_json
from nnunetv2.records.layout import IMAGES_TR, IMAGES_TS, LABELS_TR, LABELS_TS, SPLITS_JSON, channel_file_name
from nnunetv2.records.splits import Split, generate_crossval_split
from nnunetv2.utilities.executors import map_cases

logger = logging.getLogger(__name__)

FILE_ENDING = ".nii.gz"
_FOLDS = 5


def convert_dataset(
    recipe: str | ConversionRecipe,
    source_folder: PathLike,
    dataset_id: int | None = None,
    num_processes: int | None = None,
) -> str:
    """Convert a public data set as its recipe says and return the new folder ``nnUNet_raw/DatasetXXX_Name``.

    Parameters
    ----------
    recipe : name of an entry of ``recipes.RECIPES``, or a recipe of your own.
    source_folder : where the data set was unpacked; how many folders lie above its cases does not matter.
    dataset_id : number of the new data set; default is that of the recipe.
    num_processes : worker processes; default is ``nnUNet_def_n_proc`` or 8.

    Raises UsageError for an unknown recipe, DatasetError when the number is taken, or when files are missing, damaged
    or have unknown labels. Nothing remains then.
    """
    if isinstance(recipe, str):
        recipe = recipe_named(recipe)
    name = dataset_name(recipe.dataset_id if dataset_id is None else dataset_id, recipe.name)
    require_free_number(name)
    source = Path(source_folder)
    cases = cases_of(recipe, files_below(source), os.fspath(source_folder))
    training = [case for case in cases if not case.is_test]
    with new_raw_dataset(name) as target:
        for part in sorted({part for case in cases for part in _parts(case)}):
            (target / part).mkdir()
        workers = default_num_processes() if num_processes is None else num_processes
        map_cases(
            _convert_case, [(case.name, (recipe, case, source, target)) for case in cases], workers, what="converting"
        )
        _describe(recipe, target, len(training))
        if recipe.grouped_by:
            _write_splits(training, target)
    logger.info("%d training cases, %d test cases", len(training), len(cases) - len(training))
    return join(nnUNet_raw, name)


def _parts(case: SourceCase) -> tuple[str, str | None]:
    """Folders for images and label of a case."""
    images, labels = (IMAGES_TS, LABELS_TS) if case.is_test else (IMAGES_TR, LABELS_TR)
    return (images, labels) if case.label else (images,)


def _convert_case(recipe: ConversionRecipe, case: SourceCase, source: Path, target: Path) -> None:
    images, *labels = _parts(case)
    for channel, path in enumerate(case.images):
        copy_complete(source / path, target / images / channel_file_name(case.name, channel, FILE_ENDING))
    for part in labels:
        new_label = target / part / f"{case.name}{FILE_ENDING}"
        if recipe.exchange is None:
            copy_complete(source / case.label, new_label)
        else:
            write_with_exchanged_labels(source / case.label, new_label, recipe.exchange)


def _describe(recipe: ConversionRecipe, target: Path, num_training: int) -> None:
    generate_dataset_json(
        target,
        dict(enumerate(recipe.channels)),
        recipe.labels,
        num_training,
        FILE_ENDING,
        regions_class_order=recipe.regions_class_order,
        dataset_name=recipe.name,
        reference=recipe.reference,
        license=recipe.licence,
        converted_by="nnUNetv2_convert_dataset",
    )


def _write_splits(training: Sequence[SourceCase], target: Path) -> None:
    """splits_final.json that keeps groups together; left out when there are fewer groups than folds."""
    groups = sorted({case.group for case in training})
    if len(groups) < _FOLDS:
        logger.warning(
            "%d groups of cases are too few for %d folds; no %s is written", len(groups), _FOLDS, SPLITS_JSON
        )
        return
    write_json(target / SPLITS_JSON, grouped_splits(training), sort_keys=False)


def grouped_splits(training: Sequence[SourceCase]) -> list[Split]:
    """Five folds over the groups of the cases, each spelled out as cases."""
    folds = generate_crossval_split(sorted({case.group for case in training}), n_splits=_FOLDS)
    return [
        {part: sorted(case.name for case in training if case.group in set(fold[part])) for part in ("train", "val")}
        for fold in folds
    ]
