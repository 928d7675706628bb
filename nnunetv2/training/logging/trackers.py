"""Experiment trackers: further places for logged values, chosen by the environment.

A tracker is a class made from ``(output_folder, resume)`` with ``log(key, value, step)``, ``log_summary(key, value)``
and ``update_config(config)``. One line in ``TRACKERS`` adds another one.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import Any

from nnunetv2.errors import UsageError
from nnunetv2.training.logging.cluster_job import job_id
from nnunetv2.training.logging.wandb_logger import wandb_is_enabled

_log = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "nnUNet_trackers"

_ROOM = "nnunetv2.training.logging"
TRACKERS = {
    "tensorboard": f"{_ROOM}.tensorboard_logger:TensorboardLogger",
    "wandb": f"{_ROOM}.wandb_logger:WandbLogger",
    "mlflow": f"{_ROOM}.mlflow_logger:MlflowLogger",
}


def chosen_trackers() -> list[str]:
    """Names in ``nnUNet_trackers``, separated by commas, and wandb where ``nnUNet_wandb_enabled`` asks for it.

    Raises UsageError for an unknown name.
    """
    names = [name.strip().lower() for name in os.environ.get(ENVIRONMENT_VARIABLE, "").split(",") if name.strip()]
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise UsageError(
            f"environment variable {ENVIRONMENT_VARIABLE} names {', '.join(unknown)}; known are {', '.join(TRACKERS)}"
        )
    return list(dict.fromkeys(names + (["wandb"] if wandb_is_enabled() else [])))


def open_trackers(output_folder: str | os.PathLike, resume: bool) -> list[Any]:
    """One tracker for each chosen name; their configuration starts with the id of the cluster job.

    Raises UsageError when a name is unknown or its package is not installed. Any other failure, such as a server that
    does not answer, is logged, and the training goes on without that tracker.
    """
    trackers = []
    for name in chosen_trackers():
        module, _, class_name = TRACKERS[name].partition(":")
        try:
            tracker = getattr(importlib.import_module(module), class_name)(output_folder, resume)
            if job_id():
                tracker.update_config({"JobID": job_id()})
            trackers.append(tracker)
        except UsageError:
            raise
        except Exception as error:
            _log.warning("training without %s, which did not start: %s: %s", name, type(error).__name__, error)
    return trackers


class Trackers(list):
    """The trackers of a training. One that fails is reported once and left out from then on."""

    def tell(self, method: str, *arguments: Any) -> None:
        """Call ``method`` of each."""
        for tracker in list(self):
            try:
                getattr(tracker, method)(*arguments)
            except Exception as error:
                self.remove(tracker)
                _log.warning(
                    "%s failed and gets no more values of this training: %s: %s",
                    *(type(tracker).__name__, type(error).__name__, error),
                )
