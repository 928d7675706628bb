"""What a trainer is made of once its hyperparameters are final: network, arguments of the transforms, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from nnunetv2.experiment_planning.plans_checks.at_start import require_sound_configuration
from nnunetv2.networks.build import build_network
from nnunetv2.training import preflight
from nnunetv2.training.signature_compat import default_network

if TYPE_CHECKING:
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# Hyperparameters of a trainer that every process of a group has in common.
COMMON_SETTINGS = (
    "initial_lr",
    "weight_decay",
    "num_epochs",
    "num_iterations_per_epoch",
    "num_val_iterations_per_epoch",
    "enable_deep_supervision",
    "probabilistic_oversampling",
)
# Those that are shared out among the processes.
SETTINGS_PER_PROCESS = ("batch_size", "oversample_foreground_percent")


def network_on_device(trainer: nnUNetTrainer) -> nn.Module:
    """The network of the plans, or of the trainer's own ``build_network_architecture``, on its device.

    Raises UsageError when the device does not exist here, and PlansError when the configuration contradicts itself.
    """
    preflight.check_device(trainer.device)
    require_sound_configuration(
        trainer.configuration_manager.configuration,
        preflight.configuration_title(trainer.plans_manager.plans, trainer.configuration_name),
        "network",
        own_network=type(trainer).build_network_architecture is not default_network,
    )
    network = build_network(
        trainer,
        trainer.plans_manager,
        trainer.configuration_manager,
        trainer.dataset_json,
        trainer.num_input_channels,
        trainer.label_manager.num_segmentation_heads,
        trainer.enable_deep_supervision,
    )
    return network.to(trainer.device)


def label_arguments(trainer: nnUNetTrainer) -> dict[str, Any]:
    """What both transform hooks are told about the labels."""
    labels = trainer.label_manager
    return {
        "is_cascaded": trainer.is_cascaded,
        "foreground_labels": labels.foreground_labels,
        "regions": labels.foreground_regions if labels.has_regions else None,
        "ignore_label": labels.ignore_label,
    }


def angle_range(rotation: Any) -> Any:
    """Rotation range as the transforms take it; releases up to 2.4 had a dictionary with one range per axis."""
    return rotation["x"] if isinstance(rotation, dict) else rotation


def tracker_settings(trainer: nnUNetTrainer) -> dict[str, Any]:
    """What external experiment trackers are told at the start."""
    return {
        "plans": trainer.plans_manager.plans,
        "configuration": trainer.configuration_name,
        "fold": trainer.fold,
        "dataset": trainer.plans_manager.dataset_name,
        "hparas": {
            "trainer": type(trainer).__name__,
            "network": type(trainer.network).__name__,
            "optimizer": type(trainer.optimizer).__name__,
            **{name: getattr(trainer, name) for name in (*COMMON_SETTINGS, *SETTINGS_PER_PROCESS)},
        },
    }
