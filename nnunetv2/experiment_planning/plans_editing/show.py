"""What a configuration amounts to: entries and where they come from, network, memory, patch against the images."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import permutations
from math import prod
from typing import Any

import numpy as np

from nnunetv2.errors import DatasetError, PlansError
from nnunetv2.experiment_planning.plans_checks.report import Report
from nnunetv2.experiment_planning.plans_checks.resolved import ResolvedConfiguration, resolve_without_stopping
from nnunetv2.experiment_planning.plans_checks.values import is_list_of, is_number, is_positive_number
from nnunetv2.experiment_planning.plans_editing.documents import PlansDocuments, require_sound
from nnunetv2.geometry.tiles import tile_slicers
from nnunetv2.networks.memory_estimate import FLOAT16, FLOAT32, prediction_bytes, training_bytes
from nnunetv2.networks.receptive_field import receptive_field
from nnunetv2.networks.unet_shape import UNetShape, count_parameters, unet_shape
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.labels import Labels
from nnunetv2.records.plans import resolve_configuration, upgrade_configuration

_ORDERS = [list(order) for order in permutations(range(3))]
# Voxels per axis beyond which no image is meant.
_LARGEST_MEDIAN = 100_000
TILE_STEP = 0.5  # default of the predictor: neighbouring tiles overlap by half


def describe_configuration(documents: PlansDocuments, name: str) -> dict[str, Any]:
    """Everything ``nnUNetv2_plans show`` says about a configuration, as plain data; ``None`` where it is not known.

    Sizes are in voxels and mm in the axis order of the plans, memory in bytes. Raises PlansError for an unknown name or
    a configuration that cannot be resolved or contradicts itself.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the layout before v2.3 is as good as the other here
        current = upgrade_configuration(resolve_configuration(documents.plans, name))
    (resolved,) = resolve_without_stopping(documents.plans["configurations"], [name], Report(documents.path))
    missing = [key for key in ("patch_size", "spacing", "batch_size") if key not in current]
    if missing:
        raise PlansError(f"{documents.path}: {name} has no {', '.join(missing)}; nnUNetv2_plans check says more")
    require_sound(documents.path, name, current)
    channels, classes = _channels_and_classes(documents, current)
    architecture = current["architecture"]
    shape = unet_shape(architecture["network_class_name"], architecture["arch_kwargs"], len(current["patch_size"]))
    return {
        "file": documents.path,
        "configuration": name,
        "inherits": list(resolved.chain[1:]),
        "entries": _entries_with_origin(resolved),
        "network_class_name": architecture["network_class_name"],
        "input_channels": channels,
        "output_channels": classes,
        "network": None if shape is None else _network(shape, current, channels, classes),
        "images": _images(documents, current, classes),
    }


def _entries_with_origin(resolved: ResolvedConfiguration) -> dict[str, dict[str, Any]]:
    return {key: {"value": value, "from": resolved.owners[key]} for key, value in resolved.entries.items()}


def _channels_and_classes(documents: PlansDocuments, configuration: Mapping[str, Any]) -> tuple[int, int]:
    """Input and output channels of the network; by the normalization and two classes without dataset.json."""
    schemes = configuration.get("normalization_schemes")
    channels, classes, foreground = len(schemes) if isinstance(schemes, list) and schemes else 1, 2, 1
    if documents.dataset_json is not None:
        try:
            channels = len(channel_names_of(documents.dataset_json))
            order = documents.dataset_json.get("regions_class_order")
            labels = Labels.from_json(documents.dataset_json["labels"], order)
            classes = len(labels.all_labels if labels.regions is None else labels.regions)
            foreground = len(labels.foreground)
        except (DatasetError, KeyError):
            pass  # nnUNetv2_preprocess and others report a broken dataset.json
    return channels + (foreground if configuration.get("previous_stage") is not None else 0), classes


def _network(shape: UNetShape, configuration: Mapping[str, Any], channels: int, classes: int) -> dict[str, Any]:
    patch, spacing = list(configuration["patch_size"]), list(configuration["spacing"])
    stages, scale = [], [1] * len(patch)
    for level, size in enumerate(shape.sizes(patch)):
        scale = [s * step for s, step in zip(scale, shape.strides[level])]
        stages.append(
            {
                "size": list(size),
                "spacing": [s * mm for s, mm in zip(scale, spacing)],
                "features": shape.features[level],
                "stride": list(shape.strides[level]),
                "kernel": list(shape.kernels[level]),
                "encoder": shape.encoder_depths[level],
                "decoder": shape.decoder_depth(level) if level < shape.num_stages - 1 else None,
            }
        )
    parameters, reach = count_parameters(shape, channels, classes), receptive_field(shape)
    data, batch = (channels, classes, parameters), configuration["batch_size"]
    return {
        "residual": shape.residual,
        "stages": stages,
        "parameters": parameters,
        "receptive_field": list(reach),
        "receptive_field_mm": [n * mm for n, mm in zip(reach, spacing)],
        "memory": {
            "training_mixed_precision": training_bytes(shape, patch, batch, *data, FLOAT16),
            "training_float32": training_bytes(shape, patch, batch, *data, FLOAT32),
            "prediction_mixed_precision": prediction_bytes(shape, patch, *data, FLOAT16),
            "prediction_float32": prediction_bytes(shape, patch, *data, FLOAT32),
        },
    }


def _images(documents: PlansDocuments, configuration: Mapping[str, Any], classes: int) -> dict[str, Any]:
    """Patch and median image in the grid of the configuration."""
    patch, spacing = list(configuration["patch_size"]), list(configuration["spacing"])
    median = median_shape(documents, spacing)
    known: dict[str, Any] = {
        "patch_mm": [n * mm for n, mm in zip(patch, spacing)],
        "median_voxels": None,
        "median_mm": None,
        "covered": None,
        "tiles": None,
        "tile_sums": None,
    }
    if median is None:
        return known
    in_plane = median[-len(patch) :]
    padded = [max(n, p) for n, p in zip(in_plane, patch)]
    image = [*median[: len(median) - len(patch)], *padded]
    return known | {
        "median_voxels": median,
        "median_mm": [n * mm for n, mm in zip(in_plane, spacing)],
        "covered": [min(1.0, p / n) for p, n in zip(patch, in_plane)],
        "tiles": len(tile_slicers(image, patch, TILE_STEP)),
        "tile_sums": classes * prod(image) * FLOAT16,
    }


def median_shape(documents: PlansDocuments, spacing: Sequence[float]) -> list[int] | None:
    """Median size of the cases in voxels of ``spacing``, three axes in the order of the plans; None when not known.

    From the fingerprint where it lies beside the plans, else from the median spacing and shape in the plans. For two
    spacings the first axis is not resampled.
    """
    cases = _cases(documents)
    if not cases or not all(is_list_of(is_positive_number, numbers, 3) for case in cases for numbers in case):
        return None
    sizes = [
        [n * (old / new) for n, old, new in zip(shape, case, [case[0], *spacing] if len(spacing) == 2 else spacing)]
        for case, shape in cases
    ]
    median = [float(n) for n in np.median(np.array(sizes), axis=0)]
    return None if max(median) > _LARGEST_MEDIAN else [max(1, round(n)) for n in median]


def _cases(documents: PlansDocuments) -> list[tuple[list[float], list[float]]] | None:
    """Spacing (mm) and shape per case, in the axis order of the plans."""
    plans, fingerprint = documents.plans, documents.fingerprint
    forward = plans.get("transpose_forward")
    known = [(fingerprint or {}).get(key) for key in ("spacings", "shapes_after_crop")]
    sound = all(is_list_of(lambda case: is_list_of(is_number, case, 3), cases) for cases in known)
    if sound and known[0] and len(known[0]) == len(known[1]) and forward in _ORDERS:
        pairs = zip(*known)
        return [([spacing[a] for a in forward], [shape[a] for a in forward]) for spacing, shape in pairs]
    spacing, shape = (plans.get(f"original_median_{what}_after_transp") for what in ("spacing", "shape"))
    return None if spacing is None or shape is None else [(spacing, shape)]
