"""The three documents beside predictions: how they were made, and the model's dataset.json and plans.json."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

from nnunetv2.records import layout
from nnunetv2.records.files import write_json
from nnunetv2.records.temporary import remove_remains

Outputs = str | os.PathLike | Sequence[str | os.PathLike] | None


def output_folder_of(outputs: Outputs) -> str | None:
    """The folder predictions go to: as given, or that of the first truncated output name; None without output."""
    if outputs is None or (not isinstance(outputs, (str, os.PathLike)) and not outputs):
        return None
    if isinstance(outputs, (str, os.PathLike)):
        return os.fspath(outputs)
    return os.path.dirname(os.fspath(outputs[0])) or "."


def folder_alone(outputs: Outputs) -> str | None:
    """The folder predictions go to where it was given as such; None for a list of names, or without output."""
    return os.fspath(outputs) if isinstance(outputs, (str, os.PathLike)) else None


def write_documents(outputs: Outputs, arguments: Mapping[str, Any], dataset_json: dict, plans: dict) -> None:
    """Write ``predict_from_raw_data_args.json``, ``dataset.json`` and ``plans.json``; creates the folder.

    Postprocessing, ensembling and evaluation read the last two. What killed predictions left there is removed. Nothing
    is written when results are returned.
    """
    folder = output_folder_of(outputs)
    if folder is None:
        return
    remove_remains(folder)
    write_json(join(folder, layout.PREDICTION_ARGUMENTS_JSON), _plain(dict(arguments)))
    write_json(join(folder, layout.DATASET_JSON), dataset_json, sort_keys=False)
    write_json(join(folder, layout.PLANS_JSON), plans, sort_keys=False)


def _plain(value: Any) -> Any:
    """``value`` with paths as text, for JSON."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value
