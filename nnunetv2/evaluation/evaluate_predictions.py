"""Compare folders of predicted segmentations with folders of references, and write ``summary.json``."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from os.path import basename, isdir, isfile, join

import numpy as np

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.errors import DatasetError, ImageError, MissingFileError, UsageError
from nnunetv2.evaluation.metrics import (
    compute_tp_fp_fn_tn,
    label_metrics,
    mean_over_cases,
    mean_over_foreground,
    plain_label_or_region,
    region_or_label_to_mask,
    undefined_labels,
)
from nnunetv2.imageio.base_reader_writer import BaseReaderWriter
from nnunetv2.imageio.builtin_readers import BUILTIN_READERS
from nnunetv2.imageio.channel_files import position_differences
from nnunetv2.imageio.reader_writer_registry import (
    determine_reader_writer_from_dataset_json,
    determine_reader_writer_from_file_ending,
)
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.records.layout import SUMMARY_JSON, files_with_ending
from nnunetv2.records.summary import (
    key_to_label_or_region,
    label_or_region_to_key,
    load_summary_json,
    save_summary_json,
)
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

__all__ = [
    "compute_metrics",
    "compute_metrics_of_cases",
    "compute_metrics_on_folder",
    "compute_metrics_on_folder2",
    "compute_metrics_on_folder_simple",
    "compute_tp_fp_fn_tn",
    "key_to_label_or_region",
    "label_or_region_to_key",
    "labels_to_list_of_regions",
    "load_summary_json",
    "region_or_label_to_mask",
    "save_summary_json",
]

logger = logging.getLogger(__name__)


def labels_to_list_of_regions(labels: Iterable[int]) -> list[tuple[int]]:
    """Each label as a region of its own: ``[1, 3]`` gives ``[(1,), (3,)]``."""
    return [(int(label),) for label in labels]


def compute_metrics(
    reference_file: str,
    prediction_file: str,
    image_reader_writer: BaseReaderWriter,
    labels_or_regions: Sequence[int | Sequence[int]] | int,
    ignore_label: int | None = None,
) -> dict:
    """Metrics of one case: ``{"reference_file", "prediction_file", "metrics": {label or region: {metric: value}}}``.

    Raises ImageError, naming both files, when they cannot be compared; differing geometry only gives a warning.
    """
    reference, reference_properties = image_reader_writer.read_seg(reference_file)
    prediction, prediction_properties = image_reader_writer.read_seg(prediction_file)
    if isinstance(labels_or_regions, (int, np.integer)):
        labels_or_regions = [labels_or_regions]
    try:
        metrics = label_metrics(reference, prediction, labels_or_regions, ignore_label)
    except ImageError as error:
        raise ImageError(f"{prediction_file} cannot be compared with {reference_file}: {error}") from error
    _warn_of_other_geometry(reference_file, reference_properties, prediction_file, prediction_properties)
    return {"reference_file": reference_file, "prediction_file": prediction_file, "metrics": metrics}


def _warn_of_other_geometry(reference_file: str, reference: dict, prediction_file: str, prediction: dict) -> None:
    different = position_differences(reference, prediction)
    expected, found = (tuple(float(step) for step in properties["spacing"]) for properties in (reference, prediction))
    if not np.allclose(expected, found):
        different = "; ".join(filter(None, (f"spacing ({expected} and {found})", different)))
    if different:
        logger.warning(
            "%s and %s differ in %s; voxels are compared one by one all the same",
            *(reference_file, prediction_file, different),
        )


def compute_metrics_on_folder(
    folder_ref: str,
    folder_pred: str,
    output_file: str | None,
    image_reader_writer: BaseReaderWriter,
    file_ending: str,
    regions_or_labels: Sequence[int | Sequence[int]],
    ignore_label: int | None = None,
    num_processes: int | None = None,
    chill: bool = True,
) -> dict:
    """Compare every ``*file_ending`` in ``folder_pred`` with the file of the same name in ``folder_ref``.

    Returns ``{"metric_per_case", "mean", "foreground_mean"}`` in plain Python types and writes it to ``output_file``
    unless that is None. ``num_processes`` defaults to ``nnUNet_def_n_proc`` or 8. Raises DatasetError when nothing was
    predicted, and MissingFileError when a reference lacks; unless ``chill``, also when a prediction lacks.
    """
    if output_file is not None and not str(output_file).endswith(".json"):
        raise UsageError(f"the metrics are written as JSON, so the output file {output_file} must end with .json")
    names = names_to_compare(folder_ref, folder_pred, file_ending, chill)
    cases = [name[: -len(file_ending)] for name in names]
    return compute_metrics_of_cases(
        cases,
        folder_ref,
        folder_pred,
        output_file,
        image_reader_writer,
        file_ending,
        regions_or_labels,
        ignore_label,
        num_processes,
    )


def compute_metrics_of_cases(
    cases: Sequence[str],
    folder_ref: str,
    folder_pred: str,
    output_file: str | None,
    image_reader_writer: BaseReaderWriter,
    file_ending: str,
    regions_or_labels: Sequence[int | Sequence[int]],
    ignore_label: int | None = None,
    num_processes: int | None = None,
) -> dict:
    """``compute_metrics_on_folder`` for the named cases only, whatever else lies in the folders."""
    wanted = [plain_label_or_region(item) for item in regions_or_labels]
    tasks = []
    for case in cases:
        reference, prediction = (join(folder, case + file_ending) for folder in (folder_ref, folder_pred))
        tasks.append((case, (reference, prediction, image_reader_writer, wanted, ignore_label)))
    workers = default_num_processes() if num_processes is None else num_processes
    with failed_cases_listed(folder_pred, "Evaluation"):
        per_case = list(map_cases(compute_metrics, tasks, workers, what="evaluation").values())
    mean = mean_over_cases([case["metrics"] for case in per_case])
    result = {"metric_per_case": per_case, "mean": mean, "foreground_mean": mean_over_foreground(mean)}
    _report_undefined_labels(mean)
    if output_file is not None:
        save_summary_json(result, output_file)
    return result


def names_to_compare(folder_ref: PathLike, folder_pred: PathLike, file_ending: str, chill: bool) -> list[str]:
    for role, folder in (("reference", folder_ref), ("prediction", folder_pred)):
        if not isdir(folder):
            raise MissingFileError(f"the {role} folder {folder} does not exist")
    predicted = files_with_ending(folder_pred, file_ending)
    if not predicted:
        raise DatasetError(f"{folder_pred} has no file that ends with {file_ending}, so there is nothing to evaluate")
    references = files_with_ending(folder_ref, file_ending)
    without_reference = sorted(set(predicted) - set(references))
    if without_reference:
        raise MissingFileError(f"{folder_ref} lacks the references of {_listed(without_reference)} in {folder_pred}")
    not_predicted = sorted(set(references) - set(predicted))
    if not_predicted and not chill:
        raise MissingFileError(
            f"{folder_pred} lacks predictions of {_listed(not_predicted)} in {folder_ref}. "
            "Predict them, or leave them out of all means with --chill (chill=True)"
        )
    return predicted


def _listed(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _report_undefined_labels(mean: dict) -> None:
    undefined = undefined_labels(mean)
    if undefined:
        defined = mean_over_foreground({label: metrics for label, metrics in mean.items() if label not in undefined})
        logger.warning(
            "no case has a voxel of %s, neither in the reference nor in the prediction: their Dice is NaN, and so is "
            "the foreground mean. The mean Dice of the other labels is %.4f",
            *(_listed([str(label) for label in undefined]), defined["Dice"]),
        )


def compute_metrics_on_folder2(
    folder_ref: str,
    folder_pred: str,
    dataset_json_file: str,
    plans_file: str,
    output_file: str | None = None,
    num_processes: int | None = None,
    chill: bool = False,
) -> dict:
    """``compute_metrics_on_folder`` with labels, regions and ignore label as dataset.json and plans define them.

    The file ending comes from dataset.json; the reader is the one that can read the first reference file.
    ``output_file`` defaults to ``<folder_pred>/summary.json``.
    """
    dataset_json = read_json(dataset_json_file)
    file_ending = DatasetJson.from_json(dataset_json, source=os.fspath(dataset_json_file)).file_ending
    example = next(iter(names_to_compare(folder_ref, folder_pred, file_ending, chill)))
    reader_class = determine_reader_writer_from_dataset_json(dataset_json, join(folder_ref, example), verbose=False)
    label_manager = PlansManager(plans_file).get_label_manager(dataset_json)
    foreground = label_manager.foreground_regions if label_manager.has_regions else label_manager.foreground_labels
    return compute_metrics_on_folder(
        folder_ref,
        folder_pred,
        join(folder_pred, SUMMARY_JSON) if output_file is None else output_file,
        reader_class(),
        file_ending,
        foreground,
        label_manager.ignore_label,
        num_processes,
        chill,
    )


def compute_metrics_on_folder_simple(
    folder_ref: str,
    folder_pred: str,
    labels: Sequence[int],
    output_file: str | None = None,
    num_processes: int | None = None,
    ignore_label: int | None = None,
    chill: bool = False,
) -> dict:
    """``compute_metrics_on_folder`` for the given labels, without plans: ending and reader follow the reference files.

    Label 0 may be among ``labels``; it does not enter the foreground mean. ``output_file`` defaults to
    ``<folder_pred>/summary.json``.
    """
    if not isdir(folder_ref):
        raise MissingFileError(f"the reference folder {folder_ref} does not exist")
    example = first_image(folder_ref)
    file_ending = image_ending(example)
    reader_class = determine_reader_writer_from_file_ending(
        file_ending, join(folder_ref, example), allow_nonmatching_filename=not _known_endings(example), verbose=False
    )
    return compute_metrics_on_folder(
        folder_ref,
        folder_pred,
        join(folder_pred, SUMMARY_JSON) if output_file is None else output_file,
        reader_class(),
        file_ending,
        list(labels),
        ignore_label,
        num_processes,
        chill,
    )


def first_image(folder: PathLike) -> str:
    """Alphabetically first file of ``folder`` with an ending that our readers know, else the first that is not JSON.

    Raises DatasetError when there is none.
    """
    names = [name for name in sorted(os.listdir(folder)) if isfile(join(folder, name)) and not name.startswith(".")]
    candidates = [name for name in names if not name.lower().endswith(".json")]
    known = [name for name in candidates if _known_endings(name)]
    if not candidates:
        raise DatasetError(f"{os.fspath(folder)} holds no segmentation")
    return (known or candidates)[0]


def image_ending(file_name: PathLike) -> str:
    """File ending with all its parts: ``.nii.gz`` for ``case.1.nii.gz``; an unknown one is all after the last dot."""
    name = basename(file_name)
    known = _known_endings(name)
    length = max(map(len, known)) if known else len(os.path.splitext(name)[1])
    return name[len(name) - length :]


def _known_endings(name: str) -> list[str]:
    endings = {ending for reader in BUILTIN_READERS.values() for ending in reader.file_endings}
    return [ending for ending in endings if name.lower().endswith(ending)]
