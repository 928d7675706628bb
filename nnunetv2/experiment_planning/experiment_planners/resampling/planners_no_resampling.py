"""The large residual encoder preset without any resampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.named_objects import function_by_name
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
)

_NO_RESAMPLING = "nnunetv2.preprocessing.resampling.no_resampling.no_resampling_hack"


class nnUNetPlannerResEncL_noResampling(nnUNetPlannerResEncL):
    """Images keep their own spacing.

    Spacing, patch size and the low resolution stage are still planned as if they were resampled: read them with care.
    """

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 24,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetLPlans_noResampling",
        overwrite_target_spacing: list[float] | tuple[float, ...] | None = None,
        suppress_transpose: bool = False,
    ):
        super().__init__(
            dataset_name_or_id,
            gpu_memory_target_in_gb,
            preprocessor_name,
            plans_name,
            overwrite_target_spacing,
            suppress_transpose,
        )

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict, Callable, dict]:
        """Images and segmentations stay as they are."""
        function = function_by_name(_NO_RESAMPLING)
        return function, {}, function, {}

    def determine_segmentation_softmax_export_fn(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict]:
        """Network outputs are on the original grid already."""
        return function_by_name(_NO_RESAMPLING), {}

    def generate_data_identifier(self, configuration_name: str) -> str:
        """A folder of its own: these data differ from everybody else's."""
        return ExperimentPlanner.generate_data_identifier(self, configuration_name)
