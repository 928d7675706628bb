"""Planners whose data are resampled with torch: faster, with slightly other values than the default."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.named_objects import function_by_name
from nnunetv2.experiment_planning.experiment_planners.residual_unets.residual_encoder_unet_planners import (
    nnUNetPlannerResEncL,
)

_TORCH_RESAMPLING = "nnunetv2.preprocessing.resampling.resample_torch.resample_torch_fornnunet"


class _ResampledWithTorch(ExperimentPlanner):
    """What the planners here share; to be named before the planner whose network is planned."""

    # From this ratio of spacings on, a coarse axis is resampled apart from the others; None: never.
    separate_z_threshold: float | None = None

    def _arguments(self, is_seg: bool) -> dict[str, Any]:
        arguments = {"is_seg": is_seg, "force_separate_z": False, "memefficient_seg_resampling": False}
        if self.separate_z_threshold is not None:
            arguments["force_separate_z"] = None
            arguments["separate_z_anisotropy_threshold"] = self.separate_z_threshold
        return arguments

    def determine_resampling(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict, Callable, dict]:
        """Images and segmentations are resampled with torch."""
        function = function_by_name(_TORCH_RESAMPLING)
        return function, self._arguments(is_seg=False), function, self._arguments(is_seg=True)

    def determine_segmentation_softmax_export_fn(self, *args: Any, **kwargs: Any) -> tuple[Callable, dict]:
        """Network outputs are resampled with torch."""
        return function_by_name(_TORCH_RESAMPLING), self._arguments(is_seg=False)

    def generate_data_identifier(self, configuration_name: str) -> str:
        """A folder of its own: these data differ from those of the default resampling."""
        return ExperimentPlanner.generate_data_identifier(self, configuration_name)


class nnUNetPlannerResEncL_torchres(_ResampledWithTorch, nnUNetPlannerResEncL):
    """The large residual encoder preset, resampled with torch."""

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 24,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetLPlans_torchres",
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


class nnUNetPlannerResEncL_torchres_sepz(nnUNetPlannerResEncL_torchres):
    """As above, with the coarse axis of anisotropic images resampled apart."""

    separate_z_threshold = ANISO_THRESHOLD

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 24,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetLPlans_torchres_sepz",
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


class nnUNetPlanner_torchres(_ResampledWithTorch):
    """The default planner, resampled with torch."""

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetPlans_torchres",
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
