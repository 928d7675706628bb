"""What ``nnUNetv2_train`` was asked to do, checked before anything heavy is imported."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import Any

from nnunetv2.errors import MissingFileError, UsageError
from nnunetv2.training.options import TrainingOptions

DEFAULT_TRAINER = "nnUNetTrainer"
DEFAULT_PLANS = "nnUNetPlans"
DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """One call of ``run_training``. Raises UsageError for arguments that do not go together."""

    dataset_name_or_id: str | int
    configuration: str
    fold: int | str
    trainer_class_name: str = DEFAULT_TRAINER
    plans_identifier: str = DEFAULT_PLANS
    pretrained_weights: str | None = None
    """Checkpoint whose weights a new training starts from."""
    num_gpus: int = 1
    export_validation_probabilities: bool = False
    continue_training: bool = False
    only_run_validation: bool = False
    disable_checkpointing: bool = False
    val_with_best: bool = False
    """Validate with checkpoint_best.pth instead of the weights at the end."""
    skip_validation: bool = False
    device: str = "cuda"
    options: TrainingOptions = field(default_factory=TrainingOptions)

    def __post_init__(self) -> None:
        conflicts = (
            (
                self.continue_training and self.only_run_validation,
                "--c (continue training) and --val (validate only) exclude each other",
            ),
            (
                self.continue_training and self.pretrained_weights is not None,
                "-pretrained_weights is for new trainings; a training that is continued with --c has weights already",
            ),
            (
                self.val_with_best and self.disable_checkpointing,
                "--val_best needs checkpoint_best.pth, which --disable_checkpointing does not write",
            ),
            (
                self.only_run_validation and self.skip_validation,
                "--val (validate only) and --skip_validation leave nothing to do",
            ),
            (
                self.device.split(":")[0] not in DEVICES,
                f"the device is {self.device!r}; it must be one of {', '.join(DEVICES)}. "
                "Choose among GPUs with CUDA_VISIBLE_DEVICES",
            ),
            (self.num_gpus < 1, f"-num_gpus is {self.num_gpus}; it must be at least 1"),
            (
                self.num_gpus > 1 and not self.device.startswith("cuda"),
                f"-num_gpus {self.num_gpus} needs -device cuda, not {self.device}",
            ),
        )
        problems = [message for wrong, message in conflicts if wrong]
        if problems:
            raise UsageError(". ".join(problems))
        if self.pretrained_weights is not None and not os.path.isfile(self.pretrained_weights):
            raise MissingFileError(f"-pretrained_weights {self.pretrained_weights} does not exist")

    def facts(self) -> dict[str, Any]:
        """What all processes of a group must have been asked; paths may differ between machines."""
        return asdict(self) | {"pretrained_weights": self.pretrained_weights is not None}


def parse_fold(fold: int | str) -> int | str:
    """``"all"`` or a number from 0. Raises UsageError (a ValueError) for anything else."""
    if fold == "all":
        return fold
    text = str(fold).strip()
    if not text.isdecimal():
        raise UsageError(f"the fold is {fold!r}; it must be a number from 0 or 'all'")
    return int(text)
