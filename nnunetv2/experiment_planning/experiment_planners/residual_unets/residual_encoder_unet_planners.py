"""Residual encoder presets for three sizes of GPU memory: M, L and XL."""

from __future__ import annotations

import warnings

from nnunetv2.experiment_planning.experiment_planners.resencUNet_planner import ResEncUNetPlanner

__all__ = ["ResEncUNetPlanner", "nnUNetPlannerResEncL", "nnUNetPlannerResEncM", "nnUNetPlannerResEncXL"]


class nnUNetPlannerResEncM(ResEncUNetPlanner):
    """Medium preset: plans for 8 GB."""

    # Small data sets may fill the batch: their patches are so small that memory would go unused otherwise.
    max_dataset_covered = 1

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetMPlans",
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
        if gpu_memory_target_in_gb != self.UNet_reference_val_corresp_GB:
            warnings.warn(
                f"{type(self).__name__} is tuned for {self.UNet_reference_val_corresp_GB} GB and now plans for "
                f"{gpu_memory_target_in_gb} GB. Give such plans a name of their own (-overwrite_plans_name), so that "
                "they are not mistaken for the preset",
                stacklevel=2,
            )


class nnUNetPlannerResEncL(nnUNetPlannerResEncM):
    """Large preset: GPUs with 24 GB."""

    UNet_reference_val_corresp_GB = 24
    UNet_reference_val_3d = 2100000000
    UNet_reference_val_2d = 380000000

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 24,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetLPlans",
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


class nnUNetPlannerResEncXL(nnUNetPlannerResEncM):
    """Extra large preset: GPUs with 40 GB."""

    UNet_reference_val_corresp_GB = 40
    UNet_reference_val_3d = 3600000000
    UNet_reference_val_2d = 560000000

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 40,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetXLPlans",
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
