"""summary.json: metrics per case, per label or region, and their means."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnunetv2.errors import FileContentError
from nnunetv2.records.files import PathLike, read_json, write_json

LabelOrRegion = int | tuple[int, ...]


def label_or_region_to_key(label_or_region: LabelOrRegion) -> str:
    """Key in the file: ``"2"`` for a label, ``"(1, 2)"`` for a region; numpy integers become plain ones first."""
    if isinstance(label_or_region, (list, tuple)):
        return str(tuple(int(label) for label in label_or_region))
    return str(int(label_or_region))


def key_to_label_or_region(key: str) -> LabelOrRegion:
    """Inverse of ``label_or_region_to_key``."""
    try:
        return int(key)
    except ValueError:
        parts = [part for part in key.strip().removeprefix("(").removesuffix(")").split(",") if part.strip()]
        return tuple(int(part) for part in parts)


def load_summary_json(filename: PathLike) -> dict[str, Any]:
    """Read a summary with labels and regions as keys of ``mean`` and ``metrics``."""
    content = read_json(filename)
    try:
        content["mean"] = {key_to_label_or_region(key): value for key, value in content["mean"].items()}
        for case in content["metric_per_case"]:
            case["metrics"] = {key_to_label_or_region(key): value for key, value in case["metrics"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileContentError(f"{filename} is not a summary of an evaluation: {error!r}") from error
    return content


def save_summary_json(results: dict[str, Any], output_file: PathLike) -> None:
    """Write a summary; ``results`` (labels and regions as keys) is not changed. NaN is written as ``NaN``."""
    content = dict(results)
    content["mean"] = {label_or_region_to_key(key): _plain(value) for key, value in results["mean"].items()}
    content["foreground_mean"] = _plain(results["foreground_mean"])
    content["metric_per_case"] = [
        case | {"metrics": {label_or_region_to_key(key): _plain(value) for key, value in case["metrics"].items()}}
        for case in results["metric_per_case"]
    ]
    write_json(output_file, content, sort_keys=True)


def _plain(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in metrics.items()}
