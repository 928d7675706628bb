"""The planner: from the fingerprint of a data set to its plans, every step a method that can be replaced."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from os.path import isdir, join
from typing import Any

import numpy as np

from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.errors import DatasetError, MissingFileError, PlanningError
from nnunetv2.experiment_planning.experiment_planners import (
    lowres,
    patch_and_batch,
    planning_inputs,
    plans_files,
    target_spacing,
)
from nnunetv2.experiment_planning.experiment_planners.architecture import features_per_stage, unet_architecture
from nnunetv2.experiment_planning.experiment_planners.named_objects import (
    NamedClass,
    dotted_name_of_attribute,
    function_by_name,
    plain_name,
)
from nnunetv2.experiment_planning.experiment_planners.patch_and_batch import Topology
from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json
from nnunetv2.networks.feature_map_size import PLAIN_UNET, feature_map_size
from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw
from nnunetv2.preprocessing.normalization.map_channel_name_to_normalization import get_normalization_scheme
from nnunetv2.records.dataset_json import DatasetJson
from nnunetv2.records.files import copy_file, read_json
from nnunetv2.records.layout import DATASET_JSON, plans_file
from nnunetv2.utilities.dataset_name_id_conversion import maybe_convert_to_dataset_name
from nnunetv2.utilities.json_export import plain_value
from nnunetv2.utilities.utils import get_filenames_of_train_images_and_targets

logger = logging.getLogger(__name__)

_RESAMPLING = "nnunetv2.preprocessing.resampling.default_resampling.resample_data_or_seg_to_shape"
# Cropping to the nonzero box must remove more than this share for statistics to be taken inside the mask only.
MASK_IF_CROPPED_BELOW = 0.75


class ExperimentPlanner:
    """Plans the configurations of one data set for a plain U-Net.

    Numbers that variants change are attributes; they may be set on the class, or on the instance after
    ``super().__init__``. The reference values are estimates (see ``networks.feature_map_size``) known to fit into
    ``UNet_reference_val_corresp_GB`` with the reference batch sizes.
    """

    anisotropy_threshold = ANISO_THRESHOLD
    UNet_class = NamedClass(PLAIN_UNET)
    UNet_base_num_features = 32
    UNet_reference_com_nfeatures = 32
    UNet_reference_val_3d = 560000000
    UNet_reference_val_2d = 85000000
    UNet_reference_val_corresp_GB = 8
    UNet_reference_val_corresp_bs_2d = 12
    UNet_reference_val_corresp_bs_3d = 2
    UNet_featuremap_min_edge_length = 4
    UNet_blocks_per_stage_encoder: Sequence[int] = (2,) * 14
    UNet_blocks_per_stage_decoder: Sequence[int] = (2,) * 13
    UNet_min_batch_size = 2
    UNet_max_features_2d = 512
    UNet_max_features_3d = 320
    max_dataset_covered = 0.05
    lowres_creation_threshold = 0.25
    # Under which key of the architecture the encoder's depths are written.
    encoder_depth_key = "n_conv_per_stage"

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetPlans",
        overwrite_target_spacing: list[float] | tuple[float, ...] | None = None,
        suppress_transpose: bool = False,
    ):
        """Read dataset.json, the list of cases and the fingerprint of a data set.

        ``overwrite_target_spacing``: three floats in mm in the axis order of the images (before transposition).
        Raises MissingFileError (a RuntimeError), DatasetError or UsageError.
        """
        self.dataset_name = str(maybe_convert_to_dataset_name(dataset_name_or_id))
        self.suppress_transpose = suppress_transpose
        self.raw_dataset_folder = join(nnUNet_raw, self.dataset_name)
        self.preprocessed_dataset_folder = join(nnUNet_preprocessed, self.dataset_name)
        if not isdir(self.raw_dataset_folder):
            raise MissingFileError(f"{self.raw_dataset_folder} does not exist; planning needs the raw data set")
        self.dataset_json = planning_inputs.load_dataset_json(join(self.raw_dataset_folder, DATASET_JSON))
        self.dataset = get_filenames_of_train_images_and_targets(self.raw_dataset_folder, self.dataset_json)
        if not self.dataset:
            raise DatasetError(f"{self.raw_dataset_folder} has no training cases; see documentation/data_format.md")
        self.dataset_fingerprint = planning_inputs.load_fingerprint(self.preprocessed_dataset_folder, self.dataset_name)
        self.overwrite_target_spacing = planning_inputs.checked_target_spacing(overwrite_target_spacing)
        self.UNet_vram_target_GB = gpu_memory_target_in_gb
        self.plans_identifier = plans_name
        self.preprocessor_name = preprocessor_name
        self.plans: dict[str, Any] | None = None
        planning_inputs.adopt_raw_splits(self.raw_dataset_folder, self.preprocessed_dataset_folder)

    def determine_reader_writer(self) -> type:
        """The reader that can open the first image of the data set."""
        example = next(iter(self.dataset.values()))["images"][0]
        return determine_reader_writer_from_dataset_json(self.dataset_json, example)

    @staticmethod
    def static_estimate_VRAM_usage(
        patch_size: Sequence[int],
        input_channels: int,
        output_channels: int,
        arch_class_name: str,
        arch_kwargs: dict[str, Any],
        arch_kwargs_req_import: Sequence[str],
    ) -> float:
        """Feature map values of one patch (no bytes), comparable with the reference values."""
        return feature_map_size(
            patch_size, input_channels, output_channels, arch_class_name, arch_kwargs, arch_kwargs_req_import
        )

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict, Callable, dict]:
        """Functions and keyword arguments for resampling images and segmentations (data, kwargs, seg, kwargs)."""
        function = function_by_name(_RESAMPLING)
        common = {"order_z": 0, "force_separate_z": None}
        return function, {"is_seg": False, "order": 3, **common}, function, {"is_seg": True, "order": 1, **common}

    def determine_segmentation_softmax_export_fn(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict]:
        """Function and keyword arguments for resampling network outputs to the original grid."""
        return function_by_name(_RESAMPLING), {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}

    def determine_fullres_target_spacing(self) -> np.ndarray:
        """Target spacing (mm, image axis order) of the full resolution configurations."""
        if self.overwrite_target_spacing is not None:
            return np.array(self.overwrite_target_spacing)
        return target_spacing.fullres_target_spacing(
            self.dataset_fingerprint["spacings"],
            self.dataset_fingerprint["shapes_after_crop"],
            self.anisotropy_threshold,
        )

    def determine_normalization_scheme_and_whether_mask_is_used_for_norm(self) -> tuple[list[str], list[bool]]:
        """Per channel the normalization class name, and whether it looks at the nonzero mask only."""
        names = DatasetJson.from_json(self.dataset_json).channel_names
        schemes = [get_normalization_scheme(name) for name in names.values()]
        cropped = self.dataset_fingerprint["median_relative_size_after_cropping"] < MASK_IF_CROPPED_BELOW
        use_mask = [
            bool(cropped and scheme.leaves_pixels_outside_mask_at_zero_if_use_mask_for_norm_is_true)
            for scheme in schemes
        ]
        return [scheme.__name__ for scheme in schemes], use_mask

    def determine_transpose(self) -> tuple[list[int], list[int]]:
        """Axis order that puts the axis of largest spacing first, and its inverse."""
        return target_spacing.transposition(self.determine_fullres_target_spacing(), self.suppress_transpose)

    def memory_fits(self, estimate: float, reference: float, batch_reference: int) -> bool:
        """Whether a patch is small enough: two samples of it must fit, whatever the reference batch was.

        The 2 is part of the rule and not ``UNet_min_batch_size``.
        """
        return not estimate / batch_reference * 2 > reference

    def get_plans_for_configuration(
        self,
        spacing: np.ndarray | Sequence[float],
        median_shape: np.ndarray | Sequence[float],
        data_identifier: str,
        approximate_n_voxels_dataset: float,
        _cache: dict,
    ) -> dict[str, Any]:
        """Plan one configuration for ``spacing`` (mm; 2 or 3 axes, transposed order) and ``median_shape`` (voxels).

        ``approximate_n_voxels_dataset`` caps the batch size. ``_cache`` keeps memory estimates within one planning
        run. The key order of the result is part of the format. Raises PlanningError.
        """
        if any(step <= 0 for step in spacing):
            raise PlanningError(f"{data_identifier}: the spacing {list(spacing)} mm has values that are not positive")
        two_d = len(spacing) == 2
        reference_value = self.UNet_reference_val_2d if two_d else self.UNet_reference_val_3d
        reference = reference_value * (self.UNet_vram_target_GB / self.UNet_reference_val_corresp_GB)
        batch_reference = self.UNet_reference_val_corresp_bs_2d if two_d else self.UNet_reference_val_corresp_bs_3d
        min_edge = self.UNet_featuremap_min_edge_length
        start = patch_and_batch.topology_of(
            spacing, patch_and_batch.initial_patch_size(spacing, median_shape), min_edge
        )
        topology, estimate = patch_and_batch.shrink_to_fit(
            spacing,
            median_shape,
            start,
            min_edge,
            estimate=lambda candidate: self._estimate_memory(candidate, _cache),
            fits=lambda memory: self.memory_fits(memory, reference, batch_reference),
        )
        if topology.num_stages < 2:
            raise PlanningError(
                f"{data_identifier}: a patch of {topology.patch_size} voxels cannot be pooled even once (median image "
                f"{list(median_shape)} voxels, spacing {list(spacing)} mm), so no U-Net can be planned. An axis needs "
                f"{2 * min_edge} voxels or more: choose a smaller target spacing or larger images"
            )
        batch_size = patch_and_batch.batch_size(
            estimate,
            reference,
            batch_reference,
            topology.patch_size,
            approximate_n_voxels_dataset,
            self.max_dataset_covered,
            self.UNet_min_batch_size,
        )
        return self._configuration(spacing, median_shape, data_identifier, batch_size, topology)

    def _configuration(self, spacing, median_shape, data_identifier, batch_size, topology) -> dict[str, Any]:
        data_function, data_kwargs, seg_function, seg_kwargs = self.determine_resampling()
        export_function, export_kwargs = self.determine_segmentation_softmax_export_fn()
        schemes, use_mask = self.determine_normalization_scheme_and_whether_mask_is_used_for_norm()
        return {
            "data_identifier": data_identifier,
            "preprocessor_name": self.preprocessor_name,
            "batch_size": batch_size,
            "patch_size": topology.patch_size,
            "median_image_size_in_voxels": median_shape,
            "spacing": spacing,
            "normalization_schemes": schemes,
            "use_mask_for_norm": use_mask,
            "resampling_fn_data": plain_name(data_function),
            "resampling_fn_seg": plain_name(seg_function),
            "resampling_fn_data_kwargs": data_kwargs,
            "resampling_fn_seg_kwargs": seg_kwargs,
            "resampling_fn_probabilities": plain_name(export_function),
            "resampling_fn_probabilities_kwargs": export_kwargs,
            "architecture": self._architecture(topology),
        }

    def _architecture(self, topology: Topology) -> dict[str, Any]:
        most = self.UNet_max_features_2d if len(topology.patch_size) == 2 else self.UNet_max_features_3d
        return unet_architecture(
            dotted_name_of_attribute(self, "UNet_class"),
            topology,
            features_per_stage(topology.num_stages, self.UNet_base_num_features, most),
            self.encoder_depth_key,
            self.UNet_blocks_per_stage_encoder,
            self.UNet_blocks_per_stage_decoder,
        )

    def _estimate_memory(self, topology: Topology, cache: dict) -> float:
        key = (topology.patch_size, topology.strides)
        if key not in cache:
            architecture = self._architecture(topology)
            cache[key] = self.static_estimate_VRAM_usage(
                topology.patch_size,
                DatasetJson.from_json(self.dataset_json).num_channels,
                # Background, ignore label and regions all count, although heads may be fewer: plans depend on it.
                len(self.dataset_json["labels"]),
                architecture["network_class_name"],
                architecture["arch_kwargs"],
                architecture["_kw_requires_import"],
            )
        return cache[key]

    def plan_experiment(self) -> dict[str, Any]:
        """Plan all configurations, save them, copy dataset.json to the preprocessed folder; returns the plans."""
        fullres_spacing = self.determine_fullres_target_spacing()
        forward, backward = self.determine_transpose()
        spacings, shapes = self.dataset_fingerprint["spacings"], self.dataset_fingerprint["shapes_after_crop"]
        median_shape = target_spacing.median_resampled_shape(spacings, shapes, fullres_spacing)[forward]
        configurations = self._plan_configurations(
            np.asarray(fullres_spacing)[forward],
            median_shape,
            planar=all(shape[forward[0]] == 1 for shape in shapes),
        )
        copy_file(join(self.raw_dataset_folder, DATASET_JSON), join(self.preprocessed_dataset_folder, DATASET_JSON))
        plans = {
            "dataset_name": self.dataset_name,
            "plans_name": self.plans_identifier,
            "original_median_spacing_after_transp": [float(s) for s in np.median(spacings, axis=0)[forward]],
            "original_median_shape_after_transp": [round(n) for n in np.median(shapes, axis=0)[forward]],
            "image_reader_writer": self.determine_reader_writer().__name__,
            "transpose_forward": forward,
            "transpose_backward": backward,
            "configurations": configurations,
            "experiment_planner_used": type(self).__name__,
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": self.dataset_fingerprint[
                "foreground_intensity_properties_per_channel"
            ],
        }
        self.plans = plain_value(plans)
        self.save_plans(self.plans)
        return self.plans

    def _plan_configurations(self, spacing: np.ndarray, shape: np.ndarray, planar: bool) -> dict[str, Any]:
        """All configurations in the order of the file; ``spacing`` and median ``shape`` are transposed."""
        num_training = DatasetJson.from_json(self.dataset_json).num_training
        voxels = float(np.prod(shape, dtype=np.float64) * num_training)
        cache: dict = {}
        fullres = low = None
        # A stack of single slices can have a median depth above 1 when its invented slice spacing varies.
        if shape[0] != 1 and not planar:
            identifier = self.generate_data_identifier("3d_fullres")
            fullres = self.get_plans_for_configuration(spacing, shape, identifier, voxels, cache)
            identifier = self.generate_data_identifier("3d_lowres")
            low = lowres.search_lowres(
                spacing,
                shape,
                fullres["patch_size"],
                num_training,
                self.lowres_creation_threshold,
                lambda *attempt: self.get_plans_for_configuration(
                    attempt[0], attempt[1], identifier, attempt[2], cache
                ),
            )
            fullres["batch_dice"] = low is not None
        flat = self.get_plans_for_configuration(
            spacing[1:], shape[1:], self.generate_data_identifier("2d"), voxels, cache
        )
        flat["batch_dice"] = True
        configurations = {"2d": flat}
        if low is not None:
            configurations["3d_lowres"] = {**low, "batch_dice": False, "next_stage": "3d_cascade_fullres"}
        if fullres is not None:
            configurations["3d_fullres"] = fullres
        if low is not None:
            configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
        return configurations

    def save_plans(self, plans: dict[str, Any]) -> None:
        """Write ``plans`` to the preprocessed folder; configurations a person added to an older file are kept."""
        path = plans_file(self.preprocessed_dataset_folder, self.plans_identifier)
        plans_files.write_plans(path, plain_value(plans))
        logger.info("%s\n%s", path, plans_files.summary_of_configurations(plans["configurations"]))

    def generate_data_identifier(self, configuration_name: str) -> str:
        """Folder name, below the preprocessed data set, of the data of a configuration."""
        return f"{self.plans_identifier}_{configuration_name}"

    def load_plans(self, fname: str) -> None:
        """Read plans from a file into ``plans``."""
        self.plans = read_json(fname)
