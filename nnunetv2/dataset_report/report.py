"""From a raw data set to ``report.csv`` and ``report.html``."""

from __future__ import annotations

import logging
import os
from os.path import isdir, isfile, join

from nnunetv2.dataset_report.case_facts import measure_case
from nnunetv2.dataset_report.outliers import find_outliers
from nnunetv2.dataset_report.page import Report, page_of
from nnunetv2.dataset_report.table import write_table
from nnunetv2.errors import CaseFailures, DatasetError
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.paths import nnUNet_raw
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.files import atomic_path, read_json
from nnunetv2.records.layout import DATASET_JSON, IMAGES_TS, files_with_ending
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.executors import map_cases
from nnunetv2.utilities.utils import (
    create_lists_from_splitted_dataset_folder,
    get_filenames_of_train_images_and_targets,
    split_channel_suffix,
)

CSV, HTML = "report.csv", "report.html"

logger = logging.getLogger(__name__)


def report_dataset(
    dataset_name_or_id: int | str, output_folder: str, num_processes: int = 8, show_progress: bool = True
) -> Report:
    """Measure all training and test cases of a raw data set, and write both files of the report into ``output_folder``.

    Cases that cannot be read are listed with the reason. Raises DatasetError when no case can be read.
    """
    name = str(maybe_convert_to_dataset_name(dataset_name_or_id))
    folder = join(nnUNet_raw.require(), name)
    description = read_json(join(folder, DATASET_JSON))
    record = DatasetJson.from_json(description, join(folder, DATASET_JSON))
    cases = find_cases(folder, record, description)
    example = next(iter(cases.values()))[1][0]
    reader = determine_reader_writer_from_dataset_json(description, example, verbose=False)()
    names = label_names(record)
    labels = [value for value in names if value != 0]
    tasks = [(case, (case, *files, reader, labels)) for case, files in cases.items()]
    failures: dict[str, str] = {}
    try:
        measured = map_cases(measure_case, tasks, num_processes, what="report", show_progress=show_progress)
    except CaseFailures as failed:
        measured = failed.results
        failures = {case: str(error) for case, error in failed.failures.items()}
        logger.warning("%s", failed)
    if not measured:
        raise DatasetError(f"no case of {folder} can be read:\n" + "\n".join(failures.values()))
    facts = [measured[case] for case in cases if case in measured]
    marks = find_outliers(facts, names)
    report = Report(name, facts, names, list(record.channel_names.values()), marks, failures)
    os.makedirs(output_folder, exist_ok=True)
    write_table(join(output_folder, CSV), facts, names, marks, failures)
    with atomic_path(join(output_folder, HTML)) as temporary:
        temporary.write_text(page_of(report), encoding="utf-8")
    return report


def find_cases(folder: str, record: DatasetJson, description: dict) -> dict[str, tuple[str, list[str], str | None]]:
    """Every case to its part (training or test), image files and label file; training cases first.

    A training case whose label file does not exist is measured without.
    """
    cases: dict[str, tuple[str, list[str], str | None]] = {}
    for case, files in get_filenames_of_train_images_and_targets(folder, description).items():
        cases[case] = ("training", files["images"], files["label"] if isfile(files["label"]) else None)
        if cases[case][2] is None:
            logger.warning("%s does not exist; %s is measured without labels", files["label"], case)
    test_folder = join(folder, IMAGES_TS)
    if isdir(test_folder) and files_with_ending(test_folder, record.file_ending):
        for images in create_lists_from_splitted_dataset_folder(test_folder, record.file_ending):
            case, _ = split_channel_suffix(os.path.basename(images[0]), record.file_ending)
            if case in cases:
                raise DatasetError(f"{case} is a training case and a test case of {folder}; rename one of them")
            cases[case] = ("test", images, None)
    return cases


def label_names(record: DatasetJson) -> dict[int, str]:
    """Every label value to a name; values that only occur in regions are named after the value."""
    names: dict[int, str] = {}
    for name, value in record.labels.items():
        if isinstance(value, (list, tuple)):
            for single in value:
                names.setdefault(int(single), f"label {int(single)}")
        else:
            names[int(value)] = name
    return dict(sorted(names.items()))
