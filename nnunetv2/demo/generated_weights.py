"""A checkpoint of random weights for a model folder, to try a system whose trained weights are not at hand.

    python -m nnunetv2.demo.generated_weights nnUNet_results/Dataset024_FLARE24_Task1/TRAINER__PLANS__CONFIGURATION

Everything runs as with trained weights and takes as long; only the segmentations mean nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from nnunetv2.cli.commands import command
from nnunetv2.errors import UsageError
from nnunetv2.records.files import PathLike, read_json
from nnunetv2.records.layout import CHECKPOINT_FINAL, DATASET_JSON, PLANS_JSON, fold_folder_name


def write_generated_checkpoint(
    model_folder: PathLike, trainer_name: str, fold: int | str = "all", seed: int = 0, overwrite: bool = False
) -> Path:
    """Write ``fold_<fold>/checkpoint_final.pth`` with weights drawn from ``seed`` as at the start of a training.

    ``model_folder`` holds plans.json and dataset.json and is named TRAINER__PLANS__CONFIGURATION. ``trainer_name`` is
    what the checkpoint says. Raises UsageError when there is a checkpoint already, unless ``overwrite``.
    """
    import torch

    from nnunetv2.networks.build import build_network
    from nnunetv2.training.checkpoint import write_checkpoint
    from nnunetv2.utilities.file_path_utilities import convert_identifier_to_trainer_plans_config
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    folder = Path(model_folder)
    path = folder / fold_folder_name(fold) / CHECKPOINT_FINAL
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists and may be a trained model; it stays as it is. Remove it first")
    plans, dataset_json = PlansManager(str(folder / PLANS_JSON)), read_json(folder / DATASET_JSON)
    name = convert_identifier_to_trainer_plans_config(str(folder.resolve()))[2]
    configuration = plans.get_configuration(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network(
            recursive_find_trainer_class_by_name(trainer_name),
            plans,
            configuration,
            dataset_json,
            determine_num_input_channels(plans, configuration, dataset_json),
            plans.get_label_manager(dataset_json).num_segmentation_heads,
            False,
        )
    axes = tuple(range(len(configuration.patch_size)))
    content = {
        "network_weights": network.state_dict(),
        "optimizer_state": None,
        "grad_scaler_state": None,
        "trainer_name": trainer_name,
        "init_args": {"plans": plans.plans, "configuration": name, "fold": fold, "dataset_json": dataset_json},
        "current_epoch": 0,
        "inference_allowed_mirroring_axes": axes,
    }
    write_checkpoint(path, content)
    return path


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Command line; see the module's text."""
    parser = argparse.ArgumentParser(prog="generated_weights", description="Write a checkpoint of random weights.")
    parser.add_argument("model_folder", type=Path, help="folder with plans.json and dataset.json")
    parser.add_argument("--fold", default="all")
    parser.add_argument("--trainer", default="nnUNetTrainer_Epoch2000_Lr1e3", help="trainer named in the checkpoint")
    args = parser.parse_args(argv)
    write_generated_checkpoint(args.model_folder, args.trainer, args.fold)


if __name__ == "__main__":
    main()
