"""``predict_from_raw_data``, the function of v2.0 and v2.1 that loads a model and predicts a folder in one call."""

from __future__ import annotations

import torch

from nnunetv2.inference import patchable


def predict_from_raw_data(
    list_of_lists_or_source_folder: str | list[list[str]],
    output_folder: str | list[str],
    model_training_output_dir: str,
    use_folds: tuple[int | str, ...] | str | None = None,
    tile_step_size: float = 0.5,
    use_gaussian: bool = True,
    use_mirroring: bool = True,
    perform_everything_on_gpu: bool = True,
    verbose: bool = True,
    save_probabilities: bool = False,
    overwrite: bool = True,
    checkpoint_name: str = "checkpoint_final.pth",
    num_processes_preprocessing: int | None = None,
    num_processes_segmentation_export: int | None = None,
    folder_with_segs_from_prev_stage: str | None = None,
    num_parts: int = 1,
    part_id: int = 0,
    device: torch.device = torch.device("cuda"),  # noqa: B008 - an immutable value, part of the signature
) -> list | None:
    """Load the model folder and predict; see ``nnUNetPredictor``, which keeps the model for further calls."""
    predictor = patchable.names().nnUNetPredictor(
        tile_step_size=tile_step_size,
        use_gaussian=use_gaussian,
        use_mirroring=use_mirroring,
        perform_everything_on_device=perform_everything_on_gpu,
        device=device,
        verbose=verbose,
    )
    predictor.initialize_from_trained_model_folder(model_training_output_dir, use_folds, checkpoint_name)
    return predictor.predict_from_files(
        list_of_lists_or_source_folder,
        output_folder,
        save_probabilities=save_probabilities,
        overwrite=overwrite,
        num_processes_preprocessing=num_processes_preprocessing,
        num_processes_segmentation_export=num_processes_segmentation_export,
        folder_with_segs_from_prev_stage=folder_with_segs_from_prev_stage,
        num_parts=num_parts,
        part_id=part_id,
    )
