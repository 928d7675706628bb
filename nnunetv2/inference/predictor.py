"""nnUNetPredictor: a trained model held in memory, predicting files, arrays or preprocessed data."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from os.path import basename
from typing import Any

import numpy as np
import torch

from nnunetv2.configuration import available_cpus, num_processes
from nnunetv2.errors import CaseError, UsageError
from nnunetv2.inference import patchable
from nnunetv2.inference.background import (
    BoundedExecutor,
    call_for_case,
    items_that_can_be_made,
    note_failure,
    raise_failures,
)
from nnunetv2.inference.case_items import as_tensor
from nnunetv2.inference.case_lists import work_list
from nnunetv2.inference.limits.case_limits import threads_that_fit
from nnunetv2.inference.limits.limited_items import array_item_in_parts, items_from_arrays, items_from_files
from nnunetv2.inference.limits.room_for_outputs import require_room_for
from nnunetv2.inference.output_folder import folder_alone, write_documents
from nnunetv2.inference.streaming.non_finite_logits import naming
from nnunetv2.inference.streaming_predictor import Prediction, StreamingPredictor
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.failed_cases import failed_cases_listed
from nnunetv2.utilities.helpers import empty_cache

logger = logging.getLogger(__name__)


class nnUNetPredictor(StreamingPredictor):
    """Predicts with one model: load once, predict as often as you like. Settings: see ``LogitsPredictor``."""

    def predict_from_files(
        self,
        list_of_lists_or_source_folder: str | list[list[str]],
        output_folder_or_list_of_truncated_output_files: str | list[str] | None,
        save_probabilities: bool = False,
        overwrite: bool = True,
        num_processes_preprocessing: int | None = None,
        num_processes_segmentation_export: int | None = None,
        folder_with_segs_from_prev_stage: str | None = None,
        num_parts: int = 1,
        part_id: int = 0,
    ) -> list | None:
        """Predict the images in a folder, one file (with its other channels), or a list of channel files per case.

        The output is a folder, a list of paths without file ending, or None to get results back. Both worker counts
        default to ``nnUNet_def_n_proc``, else 8. They count threads, at most one per CPU; 0 means "in this thread".
        ``overwrite=False`` skips cases that are done. Of ``num_parts`` calls that share the cases, this is number
        ``part_id``, counted from 0.

        Returns results in input order: None where a file was written, else the segmentation or (segmentation,
        probabilities). None when there is nothing to do.
        """
        arguments = {name: value for name, value in locals().items() if name != "self"}
        cases = self._checked_work_list(
            list_of_lists_or_source_folder,
            output_folder_or_list_of_truncated_output_files,
            *(folder_with_segs_from_prev_stage, overwrite, part_id, num_parts, save_probabilities),
        )
        npp = num_processes() if num_processes_preprocessing is None else num_processes_preprocessing
        nps = num_processes() if num_processes_segmentation_export is None else num_processes_segmentation_export
        npp, nps = threads_that_fit(self, cases[0], npp, nps)
        arguments.update(num_processes_preprocessing=npp, num_processes_segmentation_export=nps)
        self._write_documents(output_folder_or_list_of_truncated_output_files, arguments)
        images, names, previous = cases
        outputs = output_folder_or_list_of_truncated_output_files
        with failed_cases_listed(folder_alone(outputs), "Prediction", (part_id, num_parts)):
            return self._predict_cases(images, names, previous, save_probabilities, npp, nps) if images else None

    def _predict_cases(
        self,
        images: list[list[str]],
        names: list[str] | None,
        previous: list[str | None],
        save_probabilities: bool,
        num_processes_preprocessing: int,
        num_processes_segmentation_export: int,
    ) -> list:
        """Predict the cases of a work list: channel files, truncated output names, previous-stage files."""
        items = self._internal_get_data_iterator_from_lists_of_filenames(
            images, previous, names, num_processes_preprocessing
        )
        return self.predict_from_data_iterator(items, save_probabilities, num_processes_segmentation_export)

    def predict_from_files_sequential(
        self,
        list_of_lists_or_source_folder: str | list[list[str]],
        output_folder_or_list_of_truncated_output_files: str | list[str] | None,
        save_probabilities: bool = False,
        overwrite: bool = True,
        folder_with_segs_from_prev_stage: str | None = None,
    ) -> list:
        """Like ``predict_from_files``, one case after the other in the calling thread.

        Returns the results, or an empty list when files were written.
        """
        arguments = {name: value for name, value in locals().items() if name != "self"}
        images, names, previous = self._checked_work_list(
            list_of_lists_or_source_folder,
            output_folder_or_list_of_truncated_output_files,
            *(folder_with_segs_from_prev_stage, overwrite, 0, 1, save_probabilities),
        )
        self._write_documents(output_folder_or_list_of_truncated_output_files, arguments)
        items = items_from_files(self, images, previous, names, 0, self.verbose)
        with failed_cases_listed(folder_alone(output_folder_or_list_of_truncated_output_files), "Prediction"):
            results = self.predict_from_data_iterator(items, save_probabilities, 0)
        return results if names is None else []

    def _checked_work_list(
        self, inputs, outputs, previous_stage_folder, overwrite, part_id, num_parts, save_probabilities
    ) -> tuple:
        previous_stage = self.configuration_manager.previous_stage_name
        if previous_stage is not None and previous_stage_folder is None:
            raise UsageError(
                f"this configuration is the second stage of a cascade. Predict with {previous_stage} first, then name "
                "its output folder (-prev_stage_predictions, folder_with_segs_from_prev_stage)"
            )
        cases = self._manage_input_and_output_lists(
            inputs, outputs, previous_stage_folder, overwrite, part_id, num_parts, save_probabilities
        )
        require_room_for(self, cases[0], cases[1], save_probabilities)
        return cases

    def _manage_input_and_output_lists(
        self,
        list_of_lists_or_source_folder: str | list[list[str]],
        output_folder_or_list_of_truncated_output_files: str | list[str] | None,
        folder_with_segs_from_prev_stage: str | None = None,
        overwrite: bool = True,
        part_id: int = 0,
        num_parts: int = 1,
        save_probabilities: bool = False,
    ) -> tuple[list[list[str]], list[str] | None, list[str | None]]:
        """Files, truncated output names (or None) and previous-stage files of the cases to predict in this call."""
        reader = self.plans_manager.image_reader_writer_class
        return work_list(
            list_of_lists_or_source_folder,
            output_folder_or_list_of_truncated_output_files,
            file_ending=self.dataset_json["file_ending"],
            num_channels=len(channel_names_of(self.dataset_json)),
            count_channels=lambda files: len(reader().read_images(files)[0]),
            previous_stage_folder=folder_with_segs_from_prev_stage,
            overwrite=overwrite,
            part_id=part_id,
            num_parts=num_parts,
            save_probabilities=save_probabilities,
        )

    def _write_documents(self, outputs: Any, arguments: Mapping[str, Any]) -> None:
        write_documents(outputs, arguments, self.dataset_json, self.plans_manager.plans)

    def _internal_get_data_iterator_from_lists_of_filenames(
        self,
        input_list_of_lists: list[list[str]],
        seg_from_prev_stage_files: list[str | None] | None,
        output_filenames_truncated: list[str] | None,
        num_processes: int,
    ) -> Iterator[dict]:
        return items_from_files(
            *(self, input_list_of_lists, seg_from_prev_stage_files, output_filenames_truncated, num_processes),
            self.verbose_preprocessing,
        )

    def predict_from_data_iterator(
        self,
        data_iterator: Iterable[dict],
        save_probabilities: bool = False,
        num_processes_segmentation_export: int | None = None,
    ) -> list[Prediction | None]:
        """Predict preprocessed cases one after the other, while the previous ones are exported in the background.

        Items are dicts: ``data`` (C, Z, Y, X) tensor or the path of a ``.npy`` file (deleted after loading); ``ofile``
        truncated output path, or None to return the result; ``data_properties``. Results come in the items' order.
        A case that fails does not end the batch; afterwards CaseFailures (a RuntimeError) names those that did and has
        the results of the others; CaseError if it was the only case, or if all others would fail, too (a full disk).
        """
        workers = num_processes() if num_processes_segmentation_export is None else num_processes_segmentation_export
        exporter = BoundedExecutor(min(workers, available_cpus()))
        closing_items = closing(data_iterator) if hasattr(data_iterator, "close") else nullcontext()
        failures: dict[str, CaseError] = {}
        try:
            with exporter, closing_items:
                for number, item in items_that_can_be_made(data_iterator, failures):
                    exporter.wait_for_capacity()
                    try:
                        self._predict_and_export(item, number, exporter, save_probabilities)
                    except CaseError as error:
                        note_failure(failures, error)
                    del item
                results = exporter.results(
                    lambda cases: patchable.names().tqdm(cases, desc="results", disable=not self.allow_tqdm)
                )
            raise_failures(
                *("Prediction", failures | exporter.failures, len(failures) + len(results)),
                {case: r for case, r in zip(exporter.cases, results) if case not in exporter.failures},
            )
            return results
        finally:
            patchable.names().compute_gaussian.cache_clear()
            empty_cache(self.device)

    def _predict_and_export(self, item: dict, number: int, exporter: BoundedExecutor, save_probabilities: bool) -> None:
        """Predict one item and hand its logits, as an array, to the exporter."""
        data, ofile = item["data"], item["ofile"]
        # The second spelling is that of a development version some published systems are built on.
        properties = item["data_properties"] if "data_properties" in item else item["data_properites"]
        case = f"number {number}" if ofile is None else basename(ofile)
        if isinstance(data, str):
            path, data = data, torch.from_numpy(np.load(data))
            os.remove(path)
        logger.info("Predicting %s, shape %s", case, tuple(data.shape))
        if self._can_stream(data):
            with naming(case):
                target = call_for_case(case, "Prediction", self._stream, data, properties, ofile, save_probabilities)
            del data
            exporter.submit(case, self._store, target, properties, ofile)
            return
        with naming(case):
            logits = call_for_case(case, "Prediction", self.predict_logits_from_preprocessed_data, data).numpy()
        exporter.submit(case, self._export, logits, properties, ofile, save_probabilities)

    def _export(
        self, logits: np.ndarray, properties: dict, ofile: str | None, save_probabilities: bool
    ) -> Prediction | None:
        """Write one prediction, or return it when there is no output path."""
        facade = patchable.names()
        if ofile is None:
            return facade.convert_predicted_logits_to_segmentation_with_correct_shape(
                *(logits, self.plans_manager, self.configuration_manager, self.label_manager, properties),
                save_probabilities,
            )
        facade.export_prediction_from_logits(
            *(logits, properties, self.configuration_manager, self.plans_manager, self.dataset_json, ofile),
            save_probabilities,
        )
        return None

    def get_data_iterator_from_raw_npy_data(
        self,
        image_or_list_of_images: np.ndarray | list[np.ndarray],
        segs_from_prev_stage_or_list_of_segs_from_prev_stage: np.ndarray | list[np.ndarray] | None,
        properties_or_list_of_properties: dict | list[dict],
        truncated_ofname: str | list[str] | None,
        num_processes: int = 3,
    ) -> Iterator[dict]:
        """Items for ``predict_from_data_iterator`` from images (C, Z, Y, X), axes as the plans' reader gives them.

        Single values are taken as lists of one. Properties need ``spacing`` (axes as in the array).
        """
        images, previous, properties, names = (
            value if isinstance(value, (list, tuple)) or value is None else [value]
            for value in (
                *(image_or_list_of_images, segs_from_prev_stage_or_list_of_segs_from_prev_stage),
                *(properties_or_list_of_properties, truncated_ofname),
            )
        )
        return items_from_arrays(self, images, previous, properties, names, num_processes, self.verbose_preprocessing)

    def predict_from_list_of_npy_arrays(
        self,
        image_or_list_of_images: np.ndarray | list[np.ndarray],
        segs_from_prev_stage_or_list_of_segs_from_prev_stage: np.ndarray | list[np.ndarray] | None,
        properties_or_list_of_properties: dict | list[dict],
        truncated_ofname: str | list[str] | None,
        num_processes: int = 3,
        save_probabilities: bool = False,
        num_processes_segmentation_export: int | None = None,
    ) -> list[Prediction | None]:
        """Predict images in memory; inputs as in ``get_data_iterator_from_raw_npy_data``, results in their order."""
        items = self.get_data_iterator_from_raw_npy_data(
            *(image_or_list_of_images, segs_from_prev_stage_or_list_of_segs_from_prev_stage),
            *(properties_or_list_of_properties, truncated_ofname, num_processes),
        )
        return self.predict_from_data_iterator(items, save_probabilities, num_processes_segmentation_export)

    def predict_single_npy_array(
        self,
        input_image: np.ndarray,
        image_properties: dict,
        segmentation_previous_stage: np.ndarray | None = None,
        output_file_truncated: str | None = None,
        save_or_return_probabilities: bool = False,
    ) -> Prediction | None:
        """Predict one image (C, Z, Y, X) in this thread. The properties (``spacing`` is needed) are completed in place.

        Returns the segmentation, or (segmentation, probabilities); None when it was written to a file instead.
        """
        in_parts = array_item_in_parts(self, input_image, segmentation_previous_stage, image_properties)
        if in_parts is not None:
            image_properties.update(in_parts.properties)
            return self._predict_in_parts(
                in_parts, image_properties, output_file_truncated, save_or_return_probabilities
            )
        adapter = patchable.names().PreprocessAdapterFromNpy(
            *([input_image], [segmentation_previous_stage], [image_properties], [output_file_truncated]),
            *(self.plans_manager, self.dataset_json, self.configuration_manager),
            num_threads_in_multithreaded=1,
            verbose=self.verbose,
        )
        item = next(adapter)
        image_properties.update(item["data_properties"])
        data = as_tensor(item)["data"]
        if self._can_stream(data):
            target = self._stream(data, image_properties, output_file_truncated, save_or_return_probabilities)
            return self._store(target, image_properties, output_file_truncated)
        logits = self.predict_logits_from_preprocessed_data(data).numpy()
        return self._export(logits, image_properties, output_file_truncated, save_or_return_probabilities)
