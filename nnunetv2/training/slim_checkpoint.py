"""Checkpoints to pass on, ``*.safetensors``: weights, and the facts prediction needs as JSON in the header.

Half the size of a checkpoint to train on with, and nothing in it can run code. Read by this package only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import torch

from nnunetv2.errors import CheckpointError, FileContentError
from nnunetv2.records.files import PathLike, atomic_path

ENDING = ".safetensors"
FORMAT = 1

# What prediction and -pretrained_weights read; the rest serves to go on training.
KEYS_FOR_USE = ("network_weights", "trainer_name", "init_args", "inference_allowed_mirroring_axes")

_HEADER = "nnunetv2"
_AXES = "inference_allowed_mirroring_axes"


def is_slim(path: PathLike) -> bool:
    """Whether the file name is that of such a checkpoint."""
    return os.fspath(path).endswith(ENDING)


def for_use(checkpoint: Mapping[str, Any], source: PathLike) -> dict[str, Any]:
    """The entries of a checkpoint that prediction and fine-tuning need.

    Raises FileContentError naming ``source`` when one is missing.
    """
    missing = [key for key in KEYS_FOR_USE if key not in checkpoint]
    if missing:
        raise FileContentError(
            f"{os.fspath(source)} has no {', '.join(missing)}; it is no checkpoint of a trained model"
        )
    return {key: checkpoint[key] for key in KEYS_FOR_USE}


def write_slim(path: PathLike, checkpoint: Mapping[str, Any], source: PathLike) -> None:
    """Write the weights of ``checkpoint`` (read from ``source``) and what prediction needs, atomically.

    Weights that are there under several names, as those of an encoder inside a decoder, are stored once. Raises
    FileContentError naming ``source`` when an entry is missing.
    """
    from safetensors.torch import save_file

    content = for_use(checkpoint, source)
    stored: dict[str, torch.Tensor] = {}
    first: dict[tuple, str] = {}
    aliases: dict[str, str] = {}
    for name, tensor in content["network_weights"].items():
        place = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        known = first.setdefault(place, name) if tensor.numel() else name
        if known != name:
            aliases[name] = known
        else:
            stored[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    axes = content[_AXES]
    facts = {
        "format": FORMAT,
        "trainer_name": content["trainer_name"],
        "init_args": {
            key: content["init_args"][key] for key in ("configuration", "fold") if key in content["init_args"]
        },
        _AXES: None if axes is None else [int(axis) for axis in axes],
        "aliases": aliases,
    }
    with atomic_path(path) as temporary:
        save_file(stored, temporary, metadata={"format": "pt", _HEADER: json.dumps(facts)})


def read_slim(path: PathLike) -> dict[str, Any]:
    """The entries ``KEYS_FOR_USE`` of such a file, tensors on the CPU.

    Raises CheckpointError naming the path and what is wrong with it.
    """
    from safetensors import safe_open

    name = os.fspath(path)
    try:
        with safe_open(name, framework="pt", device="cpu") as file:
            header = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  it is no mapping
    except Exception as error:  # a damaged file raises whatever its bytes happen to mean
        raise CheckpointError(
            f"{name} ({os.path.getsize(name)} bytes) is not a readable safetensors file: {error}. It is damaged, cut "
            f"short or of another kind. Copy or download it again"
        ) from error
    try:
        facts = json.loads(header[_HEADER])
        problem = _problem(facts, weights)
    except (KeyError, ValueError, RecursionError):
        problem = f"its header has no JSON under {_HEADER!r}"
    if problem is not None:
        raise CheckpointError(
            f"{name} is no checkpoint of this package: {problem}. They are made by nnUNetv2_export_model_to_zip --slim"
        )
    weights |= {alias: weights[stored] for alias, stored in facts["aliases"].items()}
    axes = facts[_AXES]
    return {
        "network_weights": weights,
        "trainer_name": facts["trainer_name"],
        "init_args": facts["init_args"],
        _AXES: None if axes is None else tuple(axes),
    }


def _problem(facts: Any, weights: Mapping[str, torch.Tensor]) -> str | None:
    """What is wrong with the facts, in words; None when nothing is."""
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        return f"its format is {facts.get('format') if isinstance(facts, dict) else facts!r}, known is {FORMAT}"
    configuration = facts["init_args"].get("configuration") if isinstance(facts.get("init_args"), dict) else None
    if not isinstance(facts.get("trainer_name"), str) or not isinstance(configuration, str):
        return "trainer_name and init_args.configuration must be text"
    axes = facts.get(_AXES, ())
    if axes is not None and not (isinstance(axes, list) and all(type(axis) is int and 0 <= axis < 3 for axis in axes)):
        return f"{_AXES} is {axes!r}; it must be a list of axis numbers or null"
    aliases = facts.get("aliases")
    if not isinstance(aliases, dict):
        return "aliases must map names of weights to others"
    absent = [stored for stored in aliases.values() if not isinstance(stored, str) or stored not in weights]
    return f"aliases name {absent[0]!r}, which is not there" if absent else None
