"""Preprocessing the training cases of a data set: those that are missing or out of date, resumable at any moment."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import isdir, isfile, join
from typing import Any

import numpy as np

from nnunetv2.configuration import num_processes as default_num_processes
from nnunetv2.errors import CaseFailures, DatasetError, NNUNetError
from nnunetv2.experiment_planning.plans_checks.at_start import require_sound_configuration
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.preprocessing.preprocessors.case_size import bytes_of_largest_case, least_bytes_of_largest_case
from nnunetv2.preprocessing.preprocessors.room_for_cases import least_bytes, most_bytes
from nnunetv2.preprocessing.resampling.torch_threads import borrowed_product_threads
from nnunetv2.records import layout
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.records.files import read_json
from nnunetv2.records.plans import plans_title
from nnunetv2.records.temporary import remove_remains
from nnunetv2.storage import made_from
from nnunetv2.storage.stores import infer_dataset_class
from nnunetv2.utilities.available_memory import require_memory, workers_that_fit
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.disk_space import free_bytes, require_room
from nnunetv2.utilities.executors import map_cases, on_other_machines
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

logger = logging.getLogger(__name__)

# Loaded once for all workers, beside the preprocessor's module and the reader.
_RESAMPLING = "nnunetv2.preprocessing.resampling.default_resampling"

# Where the disk might be too small, so many cases are made before the others are judged by them.
_FIRST_CASES = 8
# No case is worth beginning with less.
_LEAST_ROOM = 1 << 20


@dataclass(frozen=True, kw_only=True)
class DataFolder:
    """The preprocessed cases of one configuration: where they are, and what they have to be made from."""

    dataset_name: str
    configuration_name: str
    plans: PlansManager
    configuration: ConfigurationManager
    dataset_json: Mapping[str, Any]
    cases: Mapping[str, Mapping[str, Any]]
    """Case to its ``images`` (paths in channel order) and its ``label``."""
    settings: Mapping[str, Any]
    folder: str

    @classmethod
    def find(cls, dataset_name_or_id: int | str, configuration_name: str, plans_identifier: str) -> DataFolder:
        """Raises DatasetError for a missing or empty data set, PlansError for unusable plans."""
        dataset_name = str(maybe_convert_to_dataset_name(dataset_name_or_id))
        raw_folder = join(nnUNet_raw, dataset_name)
        preprocessed_folder = join(nnUNet_preprocessed, dataset_name)
        if not isdir(raw_folder):
            raise DatasetError(f"{raw_folder} does not exist; the raw data set {dataset_name} must be there")
        plans = PlansManager(layout.plans_file(preprocessed_folder, plans_identifier))
        dataset_json = read_json(join(preprocessed_folder, layout.DATASET_JSON))
        configuration = plans.get_configuration(configuration_name)
        DatasetJson.from_json(dataset_json)
        require_sound(configuration, plans, configuration_name, dataset_json)
        cases = get_filenames_of_train_images_and_targets(raw_folder, dataset_json)
        _require_cases(cases, raw_folder)
        return cls(
            dataset_name=dataset_name,
            configuration_name=configuration_name,
            plans=plans,
            configuration=configuration,
            dataset_json=dataset_json,
            cases=cases,
            settings=made_from.settings_of(plans.plans, configuration_name, dataset_json),
            folder=join(preprocessed_folder, configuration.data_identifier),
        )

    def inputs(self, case: str) -> list[str]:
        """Files a case is made from: images in channel order, then the label."""
        return [*self.cases[case]["images"], self.cases[case]["label"]]

    def reasons(self, case: str, read_all: bool = False) -> list[str]:
        """Why a case has to be made; see ``made_from``."""
        return made_from.reasons_to_make(self.folder, case, self.settings, self.inputs(case), read_all)


def run_on_dataset(
    preprocessor: Any,
    dataset_name_or_id: int | str,
    configuration_name: str,
    plans_identifier: str,
    workers: int | None,
) -> None:
    """Make the cases that are missing or out of date; see ``DefaultPreprocessor.run``."""
    data = DataFolder.find(dataset_name_or_id, configuration_name, plans_identifier)
    os.makedirs(data.folder, exist_ok=True)
    _refuse_other_format(data.folder)
    remove_remains(data.folder, made_from.records_folder(data.folder))
    todo = [case for case in data.cases if data.reasons(case)]
    what = f"Preprocessing {data.dataset_name}, {configuration_name}"
    if len(todo) < len(data.cases):
        logger.info("%s: %d of %d cases are up to date", what, len(data.cases) - len(todo), len(data.cases))
    workers = _workers_for(data, default_num_processes() if workers is None else workers, what)
    failures: dict[str, BaseException] = {}
    with failed_cases_listed(data.folder, "Preprocessing"):
        for cases in _parts(data, todo):
            _require_room(data, cases, what)
            try:
                _make_cases(preprocessor, data, cases, workers, what)
            except CaseFailures as error:
                failures |= error.failures
        if failures:
            raise CaseFailures(what, failures, len(todo)) from next(iter(failures.values()))


def _make_cases(preprocessor: Any, data: DataFolder, cases: Sequence[str], workers: int, what: str) -> None:
    one_thread = workers > 1
    map_cases(
        _make_case,
        [
            (case, (preprocessor, one_thread, data.folder, case, data.settings, *_arguments(data, case)))
            for case in cases
        ],
        workers,
        what=what,
        show_progress=preprocessor.verbose,
        preload=(type(preprocessor).__module__, data.plans.image_reader_writer_class.__module__, _RESAMPLING),
    )


def _workers_for(data: DataFolder, workers: int, what: str) -> int:
    """As many of ``workers`` as memory allows. Raises MemoryLimitError when not even one can do the largest case."""
    facts = join(nnUNet_preprocessed, data.dataset_name), DatasetJson.from_json(data.dataset_json).num_channels
    if not on_other_machines():
        require_memory(
            *(least_bytes_of_largest_case(*facts), f"{what}: the largest case"),
            "Use a machine with more memory, or crop the images",
        )
    return workers_that_fit(workers, bytes_of_largest_case(*facts), what)


def _parts(data: DataFolder, todo: list[str]) -> list[list[str]]:
    """The cases at once; where they might not fit on the disk, some of them first, to see how they compress."""
    folder, free = join(nnUNet_preprocessed, data.dataset_name), free_bytes(data.folder)
    channels = DatasetJson.from_json(data.dataset_json).num_channels
    most = most_bytes(folder, data.plans.transpose_forward, data.configuration.spacing, channels, len(todo))
    fits = most is None or free is None or most <= free
    return [part for part in ([todo] if fits else [todo[:_FIRST_CASES], todo[_FIRST_CASES:]]) if part]


def _require_room(data: DataFolder, cases: Sequence[str], what: str) -> None:
    """Raise DiskFullError when the cases finished so far show that these cannot fit on the disk."""
    replaced = sum(sum(made_from.sizes_of_case(data.folder, case).values()) for case in cases)
    require_room(
        data.folder,
        least_bytes(data.folder, map(data.inputs, cases)) - replaced,
        f"{what}: what is left ({len(cases)} case(s), judged by those that are finished)",
        "Make room, or set nnUNet_preprocessed to a larger disk and move there what is finished",
    )


def require_sound(
    configuration: ConfigurationManager, plans: PlansManager, name: str, dataset_json: Mapping[str, Any]
) -> None:
    """Raise PlansError, naming every problem, for a configuration that cannot be preprocessed."""
    title = f"{plans_title(plans.plans)}, configuration {name}"
    require_sound_configuration(configuration.configuration, title, "preprocess", dataset_json)


def remove_preprocessed(folder: str) -> None:
    """Remove the cases in ``folder`` and their records, if there are any; records first, since they vouch for cases."""
    for target in (made_from.records_folder(folder), folder):
        if isdir(target):
            shutil.rmtree(target)


def problems_of(data: DataFolder) -> list[str]:
    """Everything that is wrong with the preprocessed cases of a configuration; reads all inputs and all outputs.

    What only reading them shows costs a case its record, so that the next run makes it again.
    """
    title = f"{data.folder}, case"
    problems = []
    for case in data.cases:
        reasons = data.reasons(case, read_all=True) or _unreadable(data, case)
        if reasons and not data.reasons(case):
            made_from.forget_record(data.folder, case)
        problems += [f"{title} {case}: {reason}" for reason in reasons]
    return problems


def _unreadable(data: DataFolder, case: str) -> list[str]:
    """What is wrong with the arrays of a case."""
    try:
        image, seg, _, properties = infer_dataset_class(data.folder)(data.folder, [case]).load_case(case)
        shapes = np.asarray(image[:]).shape, np.asarray(seg[:]).shape
    except (NNUNetError, RuntimeError, ValueError, OSError) as error:
        return [f"it cannot be read: {error}"]
    channels = DatasetJson.from_json(data.dataset_json).num_channels
    if shapes[0][0] != channels or shapes[0][1:] != shapes[1][1:]:
        return [f"image {shapes[0]} and segmentation {shapes[1]} do not fit together or to {channels} channels"]
    return [] if "class_locations" in properties else ["its properties have no class_locations"]


def _arguments(data: DataFolder, case: str) -> tuple:
    files = data.cases[case]
    return files["images"], files["label"], data.plans, data.configuration, data.dataset_json


def _make_case(
    preprocessor: Any,
    one_thread: bool,
    folder: str,
    case: str,
    settings: Mapping[str, Any],
    images: list[str],
    label: str,
    *arguments: Any,
) -> None:
    """One case; with one thread where processes already share the CPUs. Its record is the last thing written."""
    require_room(folder, _LEAST_ROOM, f"case {case}", "Make room and run the command again; what is finished is kept")
    made_from.forget_record(folder, case)
    with borrowed_product_threads(1 if one_thread else None):
        preprocessor.run_case_save(join(folder, case), images, label, *arguments)
    made_from.write_record(folder, case, settings, [*images, label])


def _refuse_other_format(folder: str) -> None:
    """New cases are blosc2 files; beside NumPy cases of an earlier version none of them could be read."""
    if layout.files_with_ending(folder, ".npz"):
        raise DatasetError(
            f"{folder} holds cases in the format of an earlier version (.npz), beside which new ones cannot be put. "
            "Preprocess with --clean to replace them, or move the folder away"
        )


def _require_cases(cases: Mapping[str, Mapping[str, Any]], raw_folder: str) -> None:
    """Raise DatasetError if there are no cases, or files of theirs are missing."""
    if not cases:
        raise DatasetError(f"{raw_folder} has no training cases; there is nothing to preprocess")
    missing = [
        f"{name}: {path}"
        for name, files in cases.items()
        for path in (*files["images"], files["label"])
        if not isfile(path)
    ]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise DatasetError(f"{raw_folder}: files of training cases are missing: {'; '.join(missing[:10])}{more}")
