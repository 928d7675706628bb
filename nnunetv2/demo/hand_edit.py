"""What a person does to a plans file with an editor: add a configuration that differs in a few entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnunetv2.records.files import PathLike, read_json, write_json
from nnunetv2.records.plans import architecture_entry


def small_unet_entry(
    plans_name: str,
    name: str,
    width: int,
    spacing: Sequence[float],
    patch_size: Sequence[int],
    batch_size: int | None = None,
) -> dict[str, Any]:
    """A configuration that inherits ``3d_fullres`` and has a plain U-Net of its own: 4 stages, 2 convolutions each.

    ``width`` feature maps in the first stage, doubled by each further one. ``spacing`` in mm and ``patch_size`` in
    voxels are in array order; the patch must be divisible by 8. The new spacing needs preprocessed data of its own,
    hence the ``data_identifier``. Without ``batch_size`` it is inherited, too.
    """
    strides = [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    depths = {"n_conv_per_stage": [2, 2, 2, 2], "n_conv_per_stage_decoder": [2, 2, 2]}
    return {
        "inherits_from": "3d_fullres",
        "data_identifier": f"{plans_name}_{name}",
        "spacing": list(spacing),
        "patch_size": list(patch_size),
        **({} if batch_size is None else {"batch_size": batch_size}),
        "architecture": architecture_entry(
            "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            3,
            [width * 2**stage for stage in range(4)],
            [[3, 3, 3]] * 4,
            strides,
            depths,
        ),
    }


def add_configuration(plans_file: PathLike, name: str, entry: dict[str, Any]) -> None:
    """Write ``entry`` under ``name`` into ``configurations`` of a plans file; the rest of the file stays as it is."""
    plans = read_json(plans_file)
    plans["configurations"][name] = entry
    write_json(plans_file, plans, sort_keys=False)
