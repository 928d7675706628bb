"""What a trainer is made of once its hyperparameters are final: network, arguments of the transforms, settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import nn

from nnunetv2.experiment_planning.plans_checks.at_start import require_sound_configuration
from nnunetv2.networks.build import build_network
from nnunetv2.networks.channels_last import channels_last_format, to_channels_last
from nnunetv2.training import network_wrapping, preflight, signature_compat
from nnunetv2.training.applied_options import loader_seed
from nnunetv2.training.dataloading.augmenters import start_augmenters
from nnunetv2.training.dataloading.device_augmenter import DeviceAugmenter
from nnunetv2.training.optimization import slow_bfloat16
from nnunetv2.training.signature_compat import default_network
from nnunetv2.utilities.default_n_proc_DA import get_allowed_n_proc_DA
from nnunetv2.utilities.kept_memory import keep_freed_memory

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
    if trainer.channels_last and trainer.device.type == "cpu":
        to_channels_last(network)
    elif trainer.channels_last:
        network = network.to(
            device=trainer.device, memory_format=channels_last_format(trainer.configuration_manager.patch_size)
        )
    if trainer.device.type == "cpu":
        keep_freed_memory()
    if slow_bfloat16(trainer.device, trainer.precision):
        trainer.print_to_log_file(
            "WARNING: this CPU has no matrix units for bfloat16 (AMX). --precision bf16 saves memory; f32 is faster."
        )
    return network.to(trainer.device)


def trial_of(trainer: nnUNetTrainer) -> Callable[[nn.Module], None]:
    """One forward and backward pass with batches of the trainer's size, as ``network_wrapping.compile_if`` makes it."""
    shape = (trainer.batch_size, trainer.num_input_channels, *trainer.configuration_manager.patch_size)
    return lambda network: network_wrapping.try_one_step(network, shape, trainer.device, trainer.precision)


def dataloaders(trainer: nnUNetTrainer) -> tuple[Any, Any]:
    """See ``nnUNetTrainer.get_dataloaders``. With ``augment_on_device`` only validation batches are made in workers."""
    signature_compat.check_data_hooks(type(trainer), trainer.print_to_log_file)
    patch_size = trainer.configuration_manager.patch_size
    scales = trainer._get_deep_supervision_scales()
    geometry = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    rotation, dummy_2d, initial_patch, mirror_axes = geometry
    labels = label_arguments(trainer)
    augment = trainer.get_training_transforms(
        patch_size,
        angle_range(rotation),
        scales,
        mirror_axes,
        dummy_2d,
        use_mask_for_norm=trainer.configuration_manager.use_mask_for_norm,
        **labels,
    )
    prepare = trainer.get_validation_transforms(scales, **labels)
    train, val = trainer.get_tr_and_val_datasets()
    here = trainer.augment_on_device
    training, validation = start_augmenters(
        trainer._loader(
            train,
            initial_patch,
            None if here else augment,
            loader_seed(trainer, for_training=True),
            trainer.position.training,
        ),
        trainer._loader(
            val, patch_size, prepare, loader_seed(trainer, for_training=False), trainer.position.validation
        ),
        get_allowed_n_proc_DA(),
        trainer.device.type == "cuda",
    )
    return (DeviceAugmenter(training, augment, trainer.device) if here else training), validation


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
