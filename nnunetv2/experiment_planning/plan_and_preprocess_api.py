"""Fingerprint, planning and preprocessing of data sets as functions: what the commands call."""

from __future__ import annotations

import filecmp
import logging
from collections.abc import Sequence
from os.path import isfile, join
from typing import Any

import nnunetv2
from nnunetv2.configuration import num_processes as default_worker_count
from nnunetv2.errors import ClassNotFoundError, IntegrityError, MissingFileError, UsageError
from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.plans_checks.at_start import check_before_work
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.records.files import copy_if_newer, read_json
from nnunetv2.records.layout import DATASET_JSON, GROUND_TRUTH, plans_file
from nnunetv2.utilities.dataset_name_id_conversion import (
    convert_dataset_name_to_id,
    convert_id_to_dataset_name,
    maybe_convert_to_dataset_name,
)
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

__all__ = [
    "DatasetFingerprintExtractor",
    "ExperimentPlanner",
    "convert_id_to_dataset_name",
    "extract_fingerprint_dataset",
    "extract_fingerprints",
    "get_filenames_of_train_images_and_targets",
    "plan_experiment_dataset",
    "plan_experiments",
    "preprocess",
    "preprocess_dataset",
    "verify_preprocessed",
]

logger = logging.getLogger(__name__)

DEFAULT_CONFIGURATIONS = ("2d", "3d_fullres", "3d_lowres")
# Worker processes per configuration: preprocessing large images at full resolution needs the most memory.
DEFAULT_PROCESSES = {"2d": 8, "3d_fullres": 4, "3d_lowres": 8}
OTHER_PROCESSES = 4


def extract_fingerprint_dataset(
    dataset_id: int | str,
    fingerprint_extractor_class: type = DatasetFingerprintExtractor,
    num_processes: int | None = None,
    check_dataset_integrity: bool = False,
    clean: bool = True,
    verbose: bool = True,
    show_progress_bar: bool = True,
) -> dict[str, Any]:
    """Content of dataset_fingerprint.json of one data set; made anew with ``clean``, else made or extended.

    ``num_processes`` None: ``nnUNet_def_n_proc``, else 8. ``check_dataset_integrity`` looks at all files first.
    """
    name = str(maybe_convert_to_dataset_name(dataset_id))
    workers = default_worker_count() if num_processes is None else num_processes
    if check_dataset_integrity:
        from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

        verify_dataset_integrity(join(nnUNet_raw, name), workers)
    extractor = fingerprint_extractor_class(name, workers, verbose=verbose)
    extractor.show_progress_bar = show_progress_bar
    return extractor.run(overwrite_existing=clean)


def extract_fingerprints(
    dataset_ids: Sequence[int | str],
    fingerprint_extractor_class_name: str = "DatasetFingerprintExtractor",
    num_processes: int | None = None,
    check_dataset_integrity: bool = False,
    clean: bool = True,
    verbose: bool = True,
    show_progress_bar: bool = True,
) -> None:
    """Fingerprints of several data sets; see ``extract_fingerprint_dataset``."""
    extractor_class = _find_class(fingerprint_extractor_class_name, "-fpe", "run")
    for dataset_id in dataset_ids:
        extract_fingerprint_dataset(
            dataset_id, extractor_class, num_processes, check_dataset_integrity, clean, verbose, show_progress_bar
        )


def plan_experiment_dataset(
    dataset_id: int | str,
    experiment_planner_class: type[ExperimentPlanner] = ExperimentPlanner,
    gpu_memory_target_in_gb: float | None = None,
    preprocess_class_name: str = "DefaultPreprocessor",
    overwrite_target_spacing: Sequence[float] | None = None,
    overwrite_plans_name: str | None = None,
) -> tuple[dict[str, Any], str]:
    """Plan one data set; returns the plans and their identifier. None leaves a setting to the planner."""
    settings: dict[str, Any] = {"preprocessor_name": preprocess_class_name}
    if overwrite_target_spacing is not None:
        settings["overwrite_target_spacing"] = [float(s) for s in overwrite_target_spacing]
    if gpu_memory_target_in_gb is not None:
        settings["gpu_memory_target_in_gb"] = gpu_memory_target_in_gb
    if overwrite_plans_name is not None:
        settings["plans_name"] = overwrite_plans_name
    planner = experiment_planner_class(dataset_id, **settings)
    plans = planner.plan_experiment()
    return plans, planner.plans_identifier


def plan_experiments(
    dataset_ids: Sequence[int | str],
    experiment_planner_class_name: str = "ExperimentPlanner",
    gpu_memory_target_in_gb: float | None = None,
    preprocess_class_name: str = "DefaultPreprocessor",
    overwrite_target_spacing: Sequence[float] | None = None,
    overwrite_plans_name: str | None = None,
) -> str | None:
    """Plan several data sets; returns the plans identifier of the last one."""
    if experiment_planner_class_name == "ExperimentPlanner":
        logger.info(
            "Planning with the default planner. The residual encoder presets usually segment better: -pl "
            "nnUNetPlannerResEncM (plans for 8 GB), nnUNetPlannerResEncL (24 GB) or nnUNetPlannerResEncXL (40 GB)"
        )
    planner_class = _find_class(experiment_planner_class_name, "-pl", "plan_experiment")
    identifier = None
    for dataset_id in dataset_ids:
        _, identifier = plan_experiment_dataset(
            dataset_id,
            planner_class,
            gpu_memory_target_in_gb,
            preprocess_class_name,
            overwrite_target_spacing,
            overwrite_plans_name,
        )
    return identifier


def preprocess_dataset(
    dataset_id: int | str,
    plans_identifier: str = "nnUNetPlans",
    configurations: Sequence[str] = DEFAULT_CONFIGURATIONS,
    num_processes: int | Sequence[int] | None = None,
    verbose: bool = False,
    show_progress_bar: bool = True,
    clean: bool = False,
) -> None:
    """Preprocess the configurations of one data set and copy its reference segmentations to gt_segmentations.

    Cases that are up to date are left alone; ``clean`` removes all cases of the configurations first. Configurations
    that the plans lack are skipped with a note. ``num_processes``: one number for all configurations, one for each, or
    None for the defaults. Raises UsageError for another count, MissingFileError without plans.
    """
    from nnunetv2.preprocessing.preprocessors.dataset_run import remove_preprocessed
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    workers = processes_per_configuration(configurations, num_processes)
    name = str(maybe_convert_to_dataset_name(dataset_id))
    path = _existing_plans(name, plans_identifier)
    plans = PlansManager(path)
    description = join(nnUNet_preprocessed, name, DATASET_JSON)
    dataset_json = read_json(description) if isfile(description) else None
    check_before_work(plans.plans, path, configurations, "preprocess", dataset_json)
    for configuration, count in zip(configurations, workers):
        if configuration not in plans.available_configurations:
            logger.info(
                "%s: %s is not in %s, so there is nothing to preprocess for it", name, configuration, plans_identifier
            )
            continue
        logger.info("%s: preprocessing %s", name, configuration)
        preprocessor = plans.get_configuration(configuration).preprocessor_class(verbose=verbose)
        preprocessor.show_progress_bar = show_progress_bar
        if clean:
            remove_preprocessed(join(nnUNet_preprocessed, name, plans.get_configuration(configuration).data_identifier))
        preprocessor.run(dataset_id, configuration, plans_identifier, num_processes=count)
    copy_ground_truth(name)


def preprocess(
    dataset_ids: Sequence[int | str],
    plans_identifier: str = "nnUNetPlans",
    configurations: Sequence[str] = DEFAULT_CONFIGURATIONS,
    num_processes: int | Sequence[int] | None = None,
    verbose: bool = False,
    show_progress_bar: bool = True,
    clean: bool = False,
) -> None:
    """Preprocess several data sets; see ``preprocess_dataset``."""
    for dataset_id in dataset_ids:
        preprocess_dataset(
            dataset_id, plans_identifier, configurations, num_processes, verbose, show_progress_bar, clean
        )


def verify_preprocessed(
    dataset_ids: Sequence[int | str],
    plans_identifier: str = "nnUNetPlans",
    configurations: Sequence[str] = DEFAULT_CONFIGURATIONS,
) -> None:
    """Compare preprocessed cases with what they have to be made from, and read all of them.

    Raises IntegrityError listing every problem, with the command that repairs them.
    """
    from nnunetv2.preprocessing.preprocessors.dataset_run import DataFolder, problems_of
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    for dataset_id in dataset_ids:
        name = str(maybe_convert_to_dataset_name(dataset_id))
        available = PlansManager(_existing_plans(name, plans_identifier)).available_configurations
        chosen = [configuration for configuration in configurations if configuration in available]
        problems = [p for c in chosen for p in problems_of(DataFolder.find(name, c, plans_identifier))]
        problems += _ground_truth_problems(name)
        if problems:
            number = convert_dataset_name_to_id(name)
            command = f"nnUNetv2_preprocess -d {number} -plans_name {plans_identifier} -c {' '.join(chosen)}"
            raise IntegrityError(f"The preprocessed data of {name} (repair: {command})", problems)
        logger.info("%s: the preprocessed cases of %s are complete and up to date", name, ", ".join(chosen))


def _existing_plans(dataset_name: str, plans_identifier: str) -> str:
    """Path of the plans. Raises MissingFileError."""
    path = plans_file(join(nnUNet_preprocessed, dataset_name), plans_identifier)
    if not isfile(path):
        raise MissingFileError(
            f"{path} does not exist. Make it with nnUNetv2_plan_experiment, or name other plans with -plans_name"
        )
    return path


def processes_per_configuration(configurations: Sequence[str], num_processes: int | Sequence[int] | None) -> list[int]:
    """One worker count per configuration. Raises UsageError (a RuntimeError) when the counts do not match."""
    if num_processes is None:
        return [DEFAULT_PROCESSES.get(name, OTHER_PROCESSES) for name in configurations]
    counts = [num_processes] if isinstance(num_processes, int) else list(num_processes)
    if len(counts) == 1:
        counts *= len(configurations)
    if len(counts) != len(configurations):
        raise UsageError(
            f"{len(counts)} process counts (-np {' '.join(map(str, counts))}) for {len(configurations)} configurations "
            f"(-c {' '.join(configurations)}); give one for all, or one for each"
        )
    return counts


def copy_ground_truth(dataset_name: str) -> None:
    """Copy the reference segmentations of a data set to its preprocessed folder, where missing or older."""
    for source, target in _ground_truth(dataset_name):
        copy_if_newer(source, target)


def _ground_truth(dataset_name: str) -> list[tuple[str, str]]:
    """Label files of all training cases, and where their copies belong."""
    raw, target = join(nnUNet_raw, dataset_name), join(nnUNet_preprocessed, dataset_name, GROUND_TRUTH)
    dataset_json = read_json(join(raw, DATASET_JSON))
    cases = get_filenames_of_train_images_and_targets(raw, dataset_json)
    return [(files["label"], join(target, case + dataset_json["file_ending"])) for case, files in cases.items()]


def _ground_truth_problems(dataset_name: str) -> list[str]:
    return [
        f"{target}: it {'differs from' if isfile(target) else 'is missing; it is a copy of'} {source}"
        for source, target in _ground_truth(dataset_name)
        if not (isfile(target) and filecmp.cmp(source, target, shallow=False))
    ]


def _find_class(name: str, flag: str, method: str) -> type:
    """Class ``name`` in the planning package; ``flag`` is the option that named it, ``method`` what it must have."""
    folder = join(nnunetv2.__path__[0], "experiment_planning")
    found = recursive_find_python_class(folder, name, "nnunetv2.experiment_planning")
    if found is None:
        raise ClassNotFoundError(
            f"there is no class {name!r} in {folder}. Check the spelling ({flag}), or put the file with the class there"
        )
    if not (isinstance(found, type) and hasattr(found, method)):
        raise ClassNotFoundError(f"{name!r} ({flag}) was found in {folder}, but it is no class with a method {method}")
    return found
