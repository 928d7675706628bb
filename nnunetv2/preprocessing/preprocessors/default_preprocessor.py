"""DefaultPreprocessor: the steps from image files to network input, for one case and for a data set.

The steps are small functions elsewhere; the methods here are the places where subclasses change them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

import numpy as np

import nnunetv2
from nnunetv2.errors import ClassNotFoundError, ImageError
from nnunetv2.imageio.finite_voxels import NotFiniteError, require_finite
from nnunetv2.preprocessing.compact_labels import compact_labels
from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero
from nnunetv2.preprocessing.normalization.default_normalization_schemes import ImageNormalization, normalize_in_place
from nnunetv2.preprocessing.preprocessors.case_steps import (
    as_small_integers,
    classes_to_sample,
    require_labels,
    target_spacing,
    transposed,
)
from nnunetv2.preprocessing.preprocessors.dataset_run import run_on_dataset
from nnunetv2.preprocessing.preprocessors.foreground_locations import ClassKey, sample_foreground_locations
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from nnunetv2.records.files import read_json
from nnunetv2.storage.blosc2_store import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.utilities.class_kinds import require_class
from nnunetv2.utilities.find_class_by_name import recursive_find_python_class
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets  # noqa: F401  others import it from here

logger = logging.getLogger(__name__)

DatasetJsonLike = Mapping[str, Any] | str


class DefaultPreprocessor:
    """Crops to the nonzero region, normalizes, resamples to the target spacing, and samples foreground locations.

    Found by its name in the plans; a subclass in any file below nnunetv2/preprocessing is found the same way. Instances
    are sent to worker processes, so they must pickle.
    """

    def __init__(self, verbose: bool = True):
        self.verbose = verbose

    def run_case_npy(
        self,
        data: np.ndarray,
        seg: np.ndarray | None,
        properties: Mapping[str, Any],
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: DatasetJsonLike,
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Preprocess one case that is in memory.

        Parameters
        ----------
        data : (C, Z, Y, X) in the axis order of the reader; not changed, and neither are ``seg`` and ``properties``.
        seg : (1, Z, Y, X) labels, or None for a case to predict.
        properties : from the reader; ``spacing`` in mm, Z, Y, X.
        dataset_json : its content, or its path.

        Returns
        -------
        data float32, seg int8 or int16 with dense label numbers (-1 outside the nonzero mask; 0 inside if none was
        given), both transposed and in the target spacing; a copy of ``properties`` with ``shape_before_cropping``,
        ``bbox_used_for_cropping``, ``shape_after_cropping_and_before_resampling`` (all transposed) and, if ``seg`` was
        given, ``class_locations``.
        Raises ImageError when shapes do not fit, an intensity is not finite, or a label exceeds int16.
        """
        return self._run_case_arrays([data, seg], properties, plans_manager, configuration_manager, dataset_json)

    def _run_case_arrays(
        self,
        arrays: list[Any],
        properties: Mapping[str, Any],
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: DatasetJsonLike,
        may_overwrite: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """``run_case_npy`` for ``arrays``, which holds data and seg.

        They are taken out of that list, so that nothing else keeps them alive; ``may_overwrite`` allows to work in the
        image itself.
        """
        if isinstance(dataset_json, str):
            dataset_json = read_json(dataset_json)
        seg, data = arrays.pop(), arrays.pop()
        has_seg, seg_dtype = seg is not None, None if seg is None else seg.dtype
        label_manager = plans_manager.get_label_manager(dataset_json)
        if has_seg:
            seg = compact_labels(label_manager.values.to_dense(seg))
            require_labels(seg)
        axes = [int(axis) for axis in plans_manager.transpose_forward]
        data, seg, original_spacing, properties = transposed(data, seg, properties, axes)
        properties["shape_before_cropping"] = tuple(data.shape[1:])
        data, seg, properties["bbox_used_for_cropping"] = crop_to_nonzero(data, seg)
        cropped_shape = tuple(data.shape[1:])
        properties["shape_after_cropping_and_before_resampling"] = cropped_shape

        if not (may_overwrite and data.dtype == np.float32):
            data = np.array(data, dtype=np.float32, order="C")
        require_finite(data, [start for start, _ in properties["bbox_used_for_cropping"]], axes)
        new_spacing = target_spacing(configuration_manager.spacing, original_spacing)
        new_shape = compute_new_shape(cropped_shape, original_spacing, new_spacing)
        # Before resampling: interpolation would blur the mask and change the statistics.
        data = self._normalize(
            data, seg, configuration_manager, plans_manager.foreground_intensity_properties_per_channel
        )
        data = configuration_manager.resampling_fn_data(data, new_shape, original_spacing, new_spacing)
        seg = configuration_manager.resampling_fn_seg(seg, new_shape, original_spacing, new_spacing)
        logger.debug("%s at %s mm -> %s at %s mm", cropped_shape, original_spacing, data.shape[1:], new_spacing)
        if has_seg:
            properties["class_locations"] = self._sample_foreground_locations(
                seg, classes_to_sample(label_manager.dense), verbose=self.verbose
            )
            if type(self).modify_seg_fn is not DefaultPreprocessor.modify_seg_fn:
                seg = seg.astype(seg_dtype, copy=False)
            seg = self.modify_seg_fn(seg, plans_manager, dataset_json, configuration_manager)
        return data, as_small_integers(seg), properties

    def run_case(
        self,
        image_files: Sequence[str],
        seg_file: str | None,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: DatasetJsonLike,
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Read one case, channel files in order, with the reader the plans name, and preprocess it.

        Result as in ``run_case_npy``. Raises ImageError naming the files.
        """
        if isinstance(dataset_json, str):
            dataset_json = read_json(dataset_json)
        reader = plans_manager.image_reader_writer_class()
        data, properties = reader.read_images(image_files)
        channels = len(data)
        seg = None if seg_file is None else reader.read_seg(seg_file)[0]
        try:
            if type(self).run_case_npy is not DefaultPreprocessor.run_case_npy:
                return self.run_case_npy(data, seg, properties, plans_manager, configuration_manager, dataset_json)
            arrays = [data, seg]
            del data, seg
            return self._run_case_arrays(
                arrays, properties, plans_manager, configuration_manager, dataset_json, may_overwrite=True
            )
        except NotFiniteError as error:
            raise error.in_files(image_files, channels) from error
        except ImageError as error:
            files = [os.fspath(f) for f in (*image_files, *(() if seg_file is None else (seg_file,)))]
            raise ImageError(f"{', '.join(files)}: {error}") from error

    def run_case_save(
        self,
        output_filename_truncated: str,
        image_files: Sequence[str],
        seg_file: str,
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        dataset_json: DatasetJsonLike,
    ) -> None:
        """Preprocess one case and save it as ``<output_filename_truncated>.b2nd``, ``_seg.b2nd`` and ``.pkl``."""
        data, seg, properties = self.run_case(image_files, seg_file, plans_manager, configuration_manager, dataset_json)
        data, seg = data.astype(np.float32, copy=False), seg.astype(np.int16, copy=False)
        patch_size = tuple(configuration_manager.patch_size)
        blocks, chunks = comp_blosc2_params(data.shape, patch_size, data.itemsize)
        blocks_seg, chunks_seg = comp_blosc2_params(seg.shape, patch_size, seg.itemsize)
        nnUNetDatasetBlosc2.save_case(
            data,
            seg,
            properties,
            output_filename_truncated,
            chunks=chunks,
            blocks=blocks,
            chunks_seg=chunks_seg,
            blocks_seg=blocks_seg,
        )

    @staticmethod
    def _sample_foreground_locations(
        seg: np.ndarray,
        classes_or_regions: Sequence[int | Sequence[int]],
        seed: int = 1234,
        verbose: bool = False,
    ) -> dict[ClassKey, np.ndarray | list]:
        """Random coordinates of each class in ``seg`` (1, Z, Y, X); see ``foreground_locations``."""
        locations = sample_foreground_locations(seg, classes_or_regions, seed)
        if verbose:
            logger.debug("foreground samples: %s", {key: len(found) for key, found in locations.items()})
        return locations

    def _normalize(
        self,
        data: np.ndarray,
        seg: np.ndarray,
        configuration_manager: ConfigurationManager,
        foreground_intensity_properties_per_channel: Mapping[str, Mapping[str, float]],
    ) -> np.ndarray:
        """Normalize each channel of ``data`` (C, Z, Y, X), in place, as the plans say; returns ``data``."""
        folder = join(nnunetv2.__path__[0], "preprocessing", "normalization")
        for channel in range(len(data)):
            name = configuration_manager.normalization_schemes[channel]
            scheme = recursive_find_python_class(folder, name, "nnunetv2.preprocessing.normalization")
            if scheme is None:
                raise ClassNotFoundError(
                    f"the plans name the normalization {name!r} for channel {channel}, but no file in {folder} has it"
                )
            scheme = require_class(
                scheme, name, f"the normalization of channel {channel} in the plans", ("run",), ImageNormalization
            )
            normalizer = scheme(
                use_mask_for_norm=configuration_manager.use_mask_for_norm[channel],
                intensityproperties=foreground_intensity_properties_per_channel[str(channel)],
            )
            normalize_in_place(normalizer, data[channel], seg[0])
        return data

    def modify_seg_fn(
        self,
        seg: np.ndarray,
        plans_manager: PlansManager,
        dataset_json: Mapping[str, Any],
        configuration_manager: ConfigurationManager,
    ) -> np.ndarray:
        """Hook for subclasses: called with the resampled segmentation (1, Z, Y, X) before it is saved.

        Class locations were sampled already. Not called for cases without segmentation.
        """
        return seg

    def run(
        self,
        dataset_name_or_id: int | str,
        configuration_name: str,
        plans_identifier: str,
        num_processes: int | None = None,
    ) -> None:
        """Preprocess the training cases of a data set into ``<preprocessed>/<dataset>/<data_identifier>``.

        Cases that are there and up to date are left alone: made from the same files with the same settings, as the
        records in ``made_from`` beside the folder say. Others in the folder are left alone, too. ``num_processes`` 0 or
        1 works in this process. Raises DatasetError for a missing or empty data set and PlansError for unusable plans,
        both before any work; CaseFailures lists the cases that failed after the others were finished.
        """
        run_on_dataset(self, dataset_name_or_id, configuration_name, plans_identifier, num_processes)
