"""debug.json: a snapshot of the trainer's attributes at the start of training, as text."""

from __future__ import annotations

import os
import platform
from typing import Any

import torch

from nnunetv2.paths import nnUNet_preprocessed, nnUNet_raw, nnUNet_results
from nnunetv2.training.logging.cluster_job import job_id
from nnunetv2.training.network_wrapping import bare_network

LOADER_DETAILS = ("generator", "num_processes", "transform")


def debug_information(trainer: Any, device: torch.device, reveal_machine: bool) -> dict[str, str]:
    """Text of every attribute that is not a function, of the loaders' parts, and of the software versions.

    Unless ``reveal_machine``, the host name is left out and the roots of the folder variables are written as their
    names (``$nnUNet_results/...``), since people publish this file with their models.
    """
    content: dict[str, str] = {}
    for name, value in _attributes(trainer).items():
        if name == "network":
            content[name] = "None" if value is None else type(bare_network(value)).__name__
        elif name == "loss" or not callable(value):
            content[name] = str(value)
        if name.startswith("dataloader"):
            content |= _loader_details(name, value)
    content |= _versions(device)
    if job_id():
        content["JobID"] = str(job_id())
    if reveal_machine:
        return content | {"hostname": platform.node()}
    return {name: _without_roots(text) for name, text in content.items()}


def _attributes(trainer: Any) -> dict[str, Any]:
    """Attributes of the instance, and the values (no functions, properties or private names) of its classes."""
    found: dict[str, Any] = {}
    for cls in reversed(type(trainer).__mro__):
        plain = (bool, int, float, str, type(None))
        found |= {k: v for k, v in vars(cls).items() if not k.startswith("_") and isinstance(v, plain)}
    return found | vars(trainer)


def _loader_details(name: str, loader: Any) -> dict[str, str]:
    details = {f"{name}.{part}": str(getattr(loader, part)) for part in LOADER_DETAILS if hasattr(loader, part)}
    source = getattr(loader, "generator", getattr(loader, "data_loader", None))
    if hasattr(source, "transforms"):
        details[f"{name}.generator.transforms"] = str(source.transforms)
    return details


def _versions(device: torch.device) -> dict[str, str]:
    versions = {
        "device": str(device),
        "torch_version": torch.__version__,
        "cudnn_version": str(torch.backends.cudnn.version()) if device.type == "cuda" else "None",
    }
    if device.type == "cuda":
        versions["gpu_name"] = torch.cuda.get_device_name(device)
    return versions


def _without_roots(text: str) -> str:
    for variable in (nnUNet_raw, nnUNet_preprocessed, nnUNet_results):
        root = variable.get()
        if root:
            text = text.replace(root.rstrip(os.sep) + os.sep, f"${variable.name}/")
    return text
