"""Weights & Biases as an additional place for logged values; off unless the environment asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.errors import UsageError

_ENABLED, _PROJECT, _MODE = "nnUNet_wandb_enabled", "nnUNet_wandb_project", "nnUNet_wandb_mode"


def wandb_is_enabled() -> bool:
    """Value of the environment variable ``nnUNet_wandb_enabled``; UsageError for anything but 0, 1, true, false."""
    value = os.environ.get(_ENABLED, "").strip()
    if value.lower() in ("1", "true"):
        return True
    if value.lower() in ("", "0", "false"):
        return False
    raise UsageError(f"environment variable {_ENABLED} is {value!r}; set it to 0, 1, true or false, or unset it")


def id_of_latest_run(output_folder: str | os.PathLike) -> str | None:
    """Id of the last run in ``wandb/latest-run`` below a folder, None if there is none."""
    files = sorted(Path(output_folder, "wandb", "latest-run").glob("run-*.wandb"))
    return files[-1].stem.removeprefix("run-") if files else None


class WandbLogger:
    """A run in ``output_folder``. ``resume`` continues the one found there; otherwise its files are deleted first.

    Project and mode come from ``nnUNet_wandb_project`` (nnunet) and ``nnUNet_wandb_mode`` (online).
    """

    def __init__(self, output_folder: str | os.PathLike, resume: bool):
        try:
            import wandb
        except ImportError as error:
            raise UsageError(
                "Weights & Biases was asked for, but the package wandb is not installed: "
                f"pip install 'nnunetv2[wandb]', or unset {_ENABLED}"
            ) from error
        if not resume:
            shutil.rmtree(Path(output_folder, "wandb"), ignore_errors=True)
        self.run = wandb.init(
            dir=os.fspath(output_folder),
            project=os.environ.get(_PROJECT, "nnunet"),
            mode=os.environ.get(_MODE, "online"),
            id=id_of_latest_run(output_folder) if resume else None,
            resume="allow" if resume else None,
        )
        # A resumed training starts at its last checkpoint; the epochs since then are at the server already.
        self.first_step = self.run.step

    def log(self, key: str, value: Any, step: int) -> None:
        """Send one value of an epoch unless the run has that epoch already."""
        if step >= self.first_step:
            self.run.log({key: value}, step=step)

    def log_summary(self, key: str, value: Any) -> None:
        """Send one value of the whole training."""
        self.run.summary[key] = value

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Add to what describes the run."""
        self.run.config.update(dict(config), allow_val_change=True)
