"""The description of a configuration as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.experiment_planning.plans_checks.report import VALUE_LENGTH
from nnunetv2.records.findings import value_text

_NOT_HERE = ("architecture", "inherits_from")  # shown in a form of their own


def overview_text(path: str, configurations: Mapping[str, Mapping[str, Any]]) -> str:
    """One line per configuration: patch, spacing, batch, parameters. ``configurations`` hold their descriptions."""
    rows = [("configuration", "patch", "spacing (mm)", "batch", "parameters", "GPU memory")]
    for name, description in configurations.items():
        entries, network = description["entries"], description["network"]
        rows.append(
            (
                name,
                _times(entries["patch_size"]["value"]),
                _times(entries["spacing"]["value"]),
                str(entries["batch_size"]["value"]),
                "?" if network is None else f"{network['parameters']:,}",
                "?" if network is None else _size(network["memory"]["training_mixed_precision"]),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join([path, *("  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows)])


def description_text(description: Mapping[str, Any]) -> str:
    """Everything about one configuration."""
    name, chain = description["configuration"], description["inherits"]
    lines = [f"{name} of {description['file']}"]
    if chain:
        lines.append(f"inherits from {', which inherits from '.join(chain)}")
    lines += ["", *_entry_lines(description["entries"], name), "", *_network_lines(description), ""]
    return "\n".join([*lines, *_image_lines(description)])


def _entry_lines(entries: Mapping[str, Mapping[str, Any]], name: str) -> list[str]:
    shown = {key: entry for key, entry in entries.items() if key not in _NOT_HERE}
    width = max(map(len, shown), default=0)
    return [
        f"  {key.ljust(width)}  {value_text(entry['value'], VALUE_LENGTH)}"
        + ("" if entry["from"] == name else f"  ({entry['from']})")
        for key, entry in shown.items()
    ]


def _network_lines(description: Mapping[str, Any]) -> list[str]:
    network = description["network"]
    title = f"network {description['network_class_name'].rpartition('.')[2]}: "
    title += f"{description['input_channels']} input and {description['output_channels']} output channels"
    if network is None:
        return [title, "  (its numbers are known for PlainConvUNet and ResidualEncoderUNet only)"]
    unit = "blocks" if network["residual"] else "convolutions"
    lines = [f"{title}, {network['parameters']:,} parameters"]
    for level, stage in enumerate(network["stages"]):
        decoder = "" if stage["decoder"] is None else f", decoder {stage['decoder']}"
        lines.append(
            f"  stage {level}: {_times(stage['size'])} voxels of {_times(stage['spacing'])} mm, {stage['features']} "
            f"features, stride {_times(stage['stride'])}, kernel {_times(stage['kernel'])}, encoder {stage['encoder']} "
            f"{unit}{decoder}"
        )
    memory = network["memory"]
    return [
        *lines,
        f"  receptive field: {_times(network['receptive_field'])} voxels, {_times(network['receptive_field_mm'])} mm",
        f"  GPU memory of a training step: {_size(memory['training_mixed_precision'])} in mixed precision, "
        f"{_size(memory['training_float32'])} in float32",
        f"  GPU memory of predicting a tile: {_size(memory['prediction_mixed_precision'])} in mixed precision, "
        f"{_size(memory['prediction_float32'])} in float32",
        "  (estimates of what the network needs; libraries take some hundred MiB more)",
    ]


def _image_lines(description: Mapping[str, Any]) -> list[str]:
    images = description["images"]
    lines = [f"patch: {_times(images['patch_mm'])} mm"]
    if images["median_voxels"] is not None:
        covered = " × ".join(f"{part:.0%}" for part in images["covered"])
        lines += [
            f"median image: {_times(images['median_voxels'])} voxels, {_times(images['median_mm'])} mm; a patch covers "
            f"{covered} of it",
            f"tiles of a median case: {images['tiles']} per model and mirroring; sums over tiles take "
            f"{_size(images['tile_sums'])}",
        ]
    return lines


def _times(values: Sequence[float]) -> str:
    return " × ".join(f"{value:.4g}" for value in values)


def _size(amount: float) -> str:
    mib = amount / 2**20
    return f"{mib:.0f} MiB" if mib < 1000 else f"{mib / 1024:.1f} GiB"
