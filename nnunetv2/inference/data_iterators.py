"""Preprocessed cases for the predictor, from files or arrays, prepared in background threads.

Every item is a dict: ``data`` float32 tensor (C, Z, Y, X) in network space, with the one-hot segmentation of the
previous stage of a cascade behind the image channels; ``ofile`` truncated output path or None; ``data_properties``.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import DataLoader

from nnunetv2.configuration import available_cpus
from nnunetv2.inference.background import call_for_case, prefetch
from nnunetv2.inference.case_items import STAGE, CaseMaker, Item, Task, array_tasks, as_tensor, file_tasks
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager


def iterate_tasks(tasks: Iterator[Task], cases: int, num_processes: int, pin_memory: bool = False) -> Iterator[Item]:
    """Items in input order. In flight: one per thread, and one more that is ready."""

    def make(case: str, task: Callable[[], Item]) -> Item:
        item = call_for_case(case, STAGE, lambda: as_tensor(task()))
        if pin_memory and torch.cuda.is_available() and isinstance(item["data"], torch.Tensor):
            item["data"] = item["data"].pin_memory()
        return item

    workers = min(num_processes, cases, available_cpus())
    return prefetch((partial(make, case, task) for case, task in tasks), workers, stage=STAGE)


def preprocessing_iterator_fromfiles(
    list_of_lists: list[list[str]],
    list_of_segs_from_prev_stage_files: list[str | None] | None,
    output_filenames_truncated: list[str] | None,
    plans_manager: PlansManager,
    dataset_json: dict,
    configuration_manager: ConfigurationManager,
    num_processes: int,
    pin_memory: bool = False,
    verbose: bool = False,
) -> Iterator[Item]:
    """Items of cases given as lists of channel files, in order, preprocessed by ``num_processes`` threads.

    0 preprocesses each case in the calling thread when it is asked for. Raises WorkerError (a RuntimeError) naming the
    case that failed, when its turn comes.
    """
    maker = CaseMaker(plans_manager, dataset_json, configuration_manager)
    tasks = file_tasks(
        maker,
        partial(maker.preprocessor, verbose),
        list_of_lists,
        list_of_segs_from_prev_stage_files,
        output_filenames_truncated,
    )
    return iterate_tasks(tasks, len(list_of_lists), num_processes, pin_memory)


def preprocessing_iterator_fromnpy(
    list_of_images: list[np.ndarray],
    list_of_segs_from_prev_stage: list[np.ndarray | None] | None,
    list_of_image_properties: list[dict],
    truncated_ofnames: list[str | None] | None,
    plans_manager: PlansManager,
    dataset_json: dict,
    configuration_manager: ConfigurationManager,
    num_processes: int,
    pin_memory: bool = False,
    verbose: bool = False,
) -> Iterator[Item]:
    """Items of cases given as arrays (C, Z, Y, X) with their properties; otherwise like the variant from files."""
    maker = CaseMaker(plans_manager, dataset_json, configuration_manager)
    tasks = array_tasks(
        maker,
        partial(maker.preprocessor, verbose),
        list_of_images,
        list_of_segs_from_prev_stage,
        list_of_image_properties,
        truncated_ofnames,
    )
    return iterate_tasks(tasks, len(list_of_images), num_processes, pin_memory)


def _put_all(tasks: Iterator[Task], target_queue, done_event, abort_event) -> None:
    try:
        for case, task in tasks:
            item = as_tensor(call_for_case(case, STAGE, task))
            while True:
                if abort_event.is_set():
                    return
                try:
                    target_queue.put(item, timeout=0.01)
                    break
                except queue.Full:
                    continue
        done_event.set()
    except Exception:
        abort_event.set()
        raise


def preprocess_fromfiles_save_to_queue(
    list_of_lists: list[list[str]],
    list_of_segs_from_prev_stage_files: list[str | None] | None,
    output_filenames_truncated: list[str] | None,
    plans_manager: PlansManager,
    dataset_json: dict,
    configuration_manager: ConfigurationManager,
    target_queue: Any,
    done_event: Any,
    abort_event: Any,
    verbose: bool = False,
) -> None:
    """Preprocess cases one after the other into ``target_queue``: the loop of a worker that a caller runs himself.

    Sets ``done_event`` after the last case. Sets ``abort_event`` when a case fails, and stops when somebody else did.
    """
    maker = CaseMaker(plans_manager, dataset_json, configuration_manager)
    tasks = file_tasks(
        maker,
        partial(maker.preprocessor, verbose),
        list_of_lists,
        list_of_segs_from_prev_stage_files,
        output_filenames_truncated,
    )
    _put_all(tasks, target_queue, done_event, abort_event)


def preprocess_fromnpy_save_to_queue(
    list_of_images: list[np.ndarray],
    list_of_segs_from_prev_stage: list[np.ndarray | None] | None,
    list_of_image_properties: list[dict],
    truncated_ofnames: list[str | None] | None,
    plans_manager: PlansManager,
    dataset_json: dict,
    configuration_manager: ConfigurationManager,
    target_queue: Any,
    done_event: Any,
    abort_event: Any,
    verbose: bool = False,
) -> None:
    """Like ``preprocess_fromfiles_save_to_queue`` for cases given as arrays."""
    maker = CaseMaker(plans_manager, dataset_json, configuration_manager)
    tasks = array_tasks(
        maker,
        partial(maker.preprocessor, verbose),
        list_of_images,
        list_of_segs_from_prev_stage,
        list_of_image_properties,
        truncated_ofnames,
    )
    _put_all(tasks, target_queue, done_event, abort_event)


class _OneCasePerBatch(DataLoader):
    """A batchgenerators data loader whose batches are items of single cases, each once, in order; data stays numpy."""

    def __init__(self, tasks: Iterator[Task], num_threads: int):
        super().__init__(
            list(tasks), 1, num_threads, seed_for_shuffle=1, return_incomplete=True, shuffle=False, infinite=False
        )
        self.indices = list(range(len(self._data)))

    def generate_train_batch(self) -> Item:
        (index,) = self.get_indices()
        case, task = self._data[index]
        return call_for_case(case, STAGE, task)


class PreprocessAdapter(_OneCasePerBatch):
    """Items of cases given as channel files; ``next()`` gives the next one. ``data`` is an array as preprocessed."""

    def __init__(
        self,
        list_of_lists: list[list[str]],
        list_of_segs_from_prev_stage_files: list[str | None] | None,
        preprocessor: Any,
        output_filenames_truncated: list[str] | None,
        plans_manager: PlansManager,
        dataset_json: dict,
        configuration_manager: ConfigurationManager,
        num_threads_in_multithreaded: int = 1,
    ):
        tasks = file_tasks(
            CaseMaker(plans_manager, dataset_json, configuration_manager),
            lambda: preprocessor,
            list_of_lists,
            list_of_segs_from_prev_stage_files,
            output_filenames_truncated,
        )
        super().__init__(tasks, num_threads_in_multithreaded)


class PreprocessAdapterFromNpy(_OneCasePerBatch):
    """Items of cases given as arrays (C, Z, Y, X) with properties; ``next()`` gives the next one, ``data`` an array."""

    def __init__(
        self,
        list_of_images: list[np.ndarray],
        list_of_segs_from_prev_stage: list[np.ndarray | None] | None,
        list_of_image_properties: list[dict],
        truncated_ofnames: list[str | None] | None,
        plans_manager: PlansManager,
        dataset_json: dict,
        configuration_manager: ConfigurationManager,
        num_threads_in_multithreaded: int = 1,
        verbose: bool = False,
    ):
        maker = CaseMaker(plans_manager, dataset_json, configuration_manager)
        tasks = array_tasks(
            maker,
            partial(maker.preprocessor, verbose),
            list_of_images,
            list_of_segs_from_prev_stage,
            list_of_image_properties,
            truncated_ofnames,
        )
        super().__init__(tasks, num_threads_in_multithreaded)
