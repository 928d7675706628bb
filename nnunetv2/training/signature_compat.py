"""Trainers written for any nnU-Net v2 release: their constructor and network signatures, brought to one form.

Constructor up to 2.5: ``(plans, configuration, fold, dataset_json, unpack_dataset=True, device=cuda)``; from 2.6 on
``(plans, configuration, fold, dataset_json, device=cuda)``.
``build_network_architecture`` exists in the three forms that ``networks.build`` describes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from nnunetv2.errors import UsageError
from nnunetv2.networks.build import parse_build_arguments
from nnunetv2.training.options import CHECKPOINT_KEY, TrainingOptions
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans


def device_and_unpacking(
    positional: Sequence[Any], device: torch.device | str | None, unpack_dataset: bool | None
) -> tuple[torch.device, bool]:
    """Tell the device from ``unpack_dataset`` in a constructor call of either era, by type.

    ``positional`` is what followed ``dataset_json``. Raises TypeError for anything else, or when one is given twice.
    Defaults: cuda, True.
    """
    for value in positional:
        if isinstance(value, bool) and unpack_dataset is None:
            unpack_dataset = value
        elif isinstance(value, (str, torch.device)) and device is None:
            device = value
        else:
            raise TypeError(
                f"after dataset_json come unpack_dataset (bool) and device, each at most once; {value!r} does not fit"
            )
    return torch.device("cuda" if device is None else device), True if unpack_dataset is None else unpack_dataset


def without_launcher_entries(plans: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool, TrainingOptions]:
    """The plans without what only the launcher put there, the flag for resuming and the options. Changes nothing.

    Launchers of 2.7 and later pass ``continue_training`` inside the plans; it says that logging continues an earlier
    run. Ours passes the options of the command line likewise, since constructors of trainers have no place for them.
    """
    flag = "continue_training"
    if flag not in plans and CHECKPOINT_KEY not in plans:
        return plans, False, TrainingOptions()
    kept = {key: value for key, value in plans.items() if key not in (flag, CHECKPOINT_KEY)}
    return kept, bool(plans.get(flag, False)), TrainingOptions.from_json(plans.get(CHECKPOINT_KEY, {}))


def declares_unpacking(trainer_class: type) -> bool:
    """Whether the constructor has the parameter ``unpack_dataset`` of releases up to 2.5."""
    parameter = inspect.signature(trainer_class.__init__).parameters.get("unpack_dataset")
    return parameter is not None and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


def construct_trainer(
    trainer_class: Callable[..., Any],
    plans: Mapping[str, Any],
    configuration: str,
    fold: int | str,
    dataset_json: Mapping[str, Any],
    device: torch.device,
) -> Any:
    """Instance of ``trainer_class``, whose constructor may have the signature of any release."""
    arguments = {
        "plans": plans,
        "configuration": configuration,
        "fold": fold,
        "dataset_json": dataset_json,
        "device": device,
    }
    if declares_unpacking(trainer_class):
        arguments["unpack_dataset"] = True
    return trainer_class(**arguments)


def check_data_hooks(trainer_class: type, log: Callable[[str], None]) -> None:
    """Say what of a trainer written for an older release cannot take effect.

    Raises UsageError for augmentation of the numpy pipeline of releases up to 2.4: its transforms work on whole batches
    of arrays. Logs a warning when ``get_plain_dataloaders`` (up to 2.5) is overridden, since nothing calls it any more.
    """
    parameters = inspect.signature(trainer_class.get_training_transforms).parameters
    if "order_resampling_data" in parameters:
        raise UsageError(
            f"{trainer_class.__name__}.get_training_transforms was written for nnU-Net up to 2.4: it has the parameter "
            "order_resampling_data and returns batchgenerators transforms. Port it to batchgeneratorsv2 (compare "
            "nnUNetTrainer.get_training_transforms), or remove the override to use the default augmentation"
        )
    if hasattr(trainer_class, "get_plain_dataloaders"):
        log(
            f"WARNING: {trainer_class.__name__}.get_plain_dataloaders is a hook of releases up to 2.5 and not called. "
            "Override get_dataloaders instead."
        )


def default_network(*args: Any, **kwargs: Any) -> nn.Module:
    """Network (B, C, *patch) -> logits (B, K, *patch), or a list of them, highest resolution first.

    ``(plans_manager, configuration_manager, num_input_channels, num_output_channels, enable_deep_supervision=True)``;
    subclasses and users' programs may call it in both older forms, too. Used without an instance at inference.
    """
    class_name, arguments, to_import, inputs, outputs, deep_supervision = parse_build_arguments(*args, **kwargs)
    return get_network_from_plans(
        class_name, arguments, to_import, inputs, outputs, allow_init=True, deep_supervision=deep_supervision
    )


# Shown to inspect.signature, which decides in which form the function is called.
default_network.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in (
            ("plans_manager", inspect.Parameter.empty),
            ("configuration_manager", inspect.Parameter.empty),
            ("num_input_channels", inspect.Parameter.empty),
            ("num_output_channels", inspect.Parameter.empty),
            ("enable_deep_supervision", True),
        )
    ]
)
