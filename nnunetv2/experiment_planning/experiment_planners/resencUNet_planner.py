"""The base planner for U-Nets with residual encoder."""

from __future__ import annotations

from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
from nnunetv2.experiment_planning.experiment_planners.named_objects import NamedClass
from nnunetv2.networks.feature_map_size import RESIDUAL_UNET


class ResEncUNetPlanner(ExperimentPlanner):
    """Plans a U-Net with residual encoder; shares the preprocessed data of ``ExperimentPlanner`` where it can."""

    UNet_class = NamedClass(RESIDUAL_UNET)
    UNet_reference_val_3d = 680000000
    UNet_reference_val_2d = 135000000
    UNet_blocks_per_stage_encoder = (1, 3, 4) + (6,) * 10
    UNet_blocks_per_stage_decoder = (1,) * 12
    encoder_depth_key = "n_blocks_per_stage"

    def __init__(
        self,
        dataset_name_or_id: str | int,
        gpu_memory_target_in_gb: float = 8,
        preprocessor_name: str = "DefaultPreprocessor",
        plans_name: str = "nnUNetResEncUNetPlans",
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

    def memory_fits(self, estimate: float, reference: float, batch_reference: int) -> bool:
        """Whether a patch is small enough: the whole reference batch of it must fit."""
        return not estimate > reference

    def generate_data_identifier(self, configuration_name: str) -> str:
        """The folder of ``ExperimentPlanner`` for data that are the same, else one of its own.

        Only 2d and 3d_fullres at default settings are the same: any setting that changes preprocessing would otherwise
        make the two planners overwrite each other's data.
        """
        preprocessed_alike = (
            self.overwrite_target_spacing is None
            and self.preprocessor_name == "DefaultPreprocessor"
            and not self.suppress_transpose
        )
        if configuration_name in ("2d", "3d_fullres") and preprocessed_alike:
            return f"nnUNetPlans_{configuration_name}"
        return super().generate_data_identifier(configuration_name)
