"""TensorBoard event files beside the checkpoints."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnunetv2.errors import UsageError

FOLDER = "tensorboard"


class TensorboardLogger:
    """Writes to ``tensorboard`` in the output folder. ``resume`` keeps what is there; a new training deletes it."""

    def __init__(self, output_folder: str | os.PathLike, resume: bool):
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UsageError(
                "TensorBoard was asked for, but the package tensorboard is not installed: "
                "pip install 'nnunetv2[tensorboard]'"
            ) from error
        self._writer_class = SummaryWriter
        self._folder = Path(output_folder, FOLDER)
        if not resume:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._writer: Any = None
        self._step = 0

    def log(self, key: str, value: Any, step: int) -> None:
        """Add a point to the curve ``key``."""
        if self._writer is None:
            self._open(step)
        self._step = step
        self._writer.add_scalar(key, value, step)
        self._writer.flush()

    def log_summary(self, key: str, value: Any) -> None:
        """Add a point at the epoch logged last."""
        self.log(key, value, self._step)

    def update_config(self, config: Mapping[str, Any]) -> None:
        """Add each entry as text."""
        if self._writer is None:
            self._open(None)
        for key, value in config.items():
            self._writer.add_text(key, f"```\n{json.dumps(value, indent=2, default=str)}\n```")
        self._writer.flush()

    def _open(self, first_step: int | None) -> None:
        self._writer = self._writer_class(os.fspath(self._folder), purge_step=first_step)
