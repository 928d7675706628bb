"""Trained models as ONNX files for other programs, with a manifest that says how to use them.

One file per fold, input ``image`` (B, C, *patch) float32, output ``logits`` (B, K, *patch) float32; B is free. Every
file is run by onnxruntime and compared with torch before it gets its name. Needs the extra ``onnx``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from os.path import join
from typing import Any

import numpy as np
import torch

from nnunetv2.errors import NNUNetError, UsageError
from nnunetv2.inference import network_calls
from nnunetv2.inference.model_folder import selected_folds
from nnunetv2.inference.predictor import nnUNetPredictor
from nnunetv2.records.dataset_json import channel_names_of
from nnunetv2.records.files import atomic_path, write_json
from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
OPSET = 17
# Largest difference of logits, relative to the largest logit. Other orders of summation give 1e-5 in deep networks.
TOLERANCE = 1e-3


class ParityError(NNUNetError, RuntimeError):
    """The exported file gives other logits than the network."""


def export_onnx(
    model_folder: str,
    output_folder: str,
    folds: Sequence[int | str] | None = None,
    checkpoint_name: str = "checkpoint_final.pth",
) -> dict[str, Any]:
    """Write ``fold_X.onnx`` for every fold and ``manifest.json`` into ``output_folder``; returns the manifest.

    Raises UsageError when the extra is not installed and ParityError, with the figures, when onnxruntime and torch
    differ by more than TOLERANCE; no file of that fold is left then.
    """
    absent = [name for name in ("onnx", "onnxruntime") if importlib.util.find_spec(name) is None]
    if absent:
        raise UsageError(f"{' and '.join(absent)} not installed: pip install 'nnunetv2[onnx]'")
    names = selected_folds(model_folder, folds, checkpoint_name)
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, engine="torch")
    predictor.initialize_from_trained_model_folder(model_folder, names, checkpoint_name)
    os.makedirs(output_folder, exist_ok=True)
    files = []
    for name, weights in zip(names, predictor.list_of_parameters):
        network_calls.load_weights(predictor.network, weights)
        network = predictor.network.eval().requires_grad_(False)
        file_name = f"fold_{name}.onnx"
        with atomic_path(join(output_folder, file_name)) as temporary:
            write_network(network, example_tiles(predictor)["random"], str(temporary))
            parity = {kind: compare(network, str(temporary), tile) for kind, tile in example_tiles(predictor).items()}
            _refuse_differences(file_name, parity)
        logger.info("%s: largest relative difference %.1e", file_name, max(p["relative"] for p in parity.values()))
        files.append(
            {"fold": name, "file": file_name, "sha256": _sha256(join(output_folder, file_name)), "parity": parity}
        )
    manifest = describe(predictor, files)
    write_json(join(output_folder, MANIFEST), manifest)
    return manifest


def write_network(network: torch.nn.Module, example: torch.Tensor, path: str) -> None:
    """ONNX file of a network in inference mode; only the batch axis is free."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every Python condition; this exporter about its successor
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,  # the newer exporter needs another package and gives the same operators for these networks
        )


def example_tiles(predictor: nnUNetPredictor) -> dict[str, torch.Tensor]:
    """Tiles (1, C, *patch): noise, and smooth shapes with a part of one value, like a body in air. Always the same."""
    configuration = predictor.configuration_manager
    channels = determine_num_input_channels(predictor.plans_manager, configuration, predictor.dataset_json)
    patch = tuple(configuration.patch_size)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn((1, channels, *(max(2, length // 8) for length in patch)), generator=generator)
    mode = "bilinear" if len(patch) == 2 else "trilinear"
    smooth = torch.nn.functional.interpolate(coarse, size=patch, mode=mode, align_corners=False)
    smooth[..., : patch[-1] // 4] = -1.5
    return {"random": torch.randn((1, channels, *patch), generator=generator), "smooth": smooth}


def compare(network: torch.nn.Module, path: str, tile: torch.Tensor) -> dict[str, float]:
    """How far onnxruntime's logits of a tile are from torch's, and the share of equal labels (largest logit)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (theirs,) = session.run(["logits"], {"image": tile.numpy()})
    with torch.inference_mode():
        ours = network_calls.call(network, tile).numpy()
    absolute = float(np.abs(ours - theirs).max())
    return {
        "absolute": absolute,
        "relative": absolute / max(float(np.abs(ours).max()), np.finfo(np.float32).tiny),
        "equal_labels": float((ours.argmax(1) == theirs.argmax(1)).mean()),
    }


def _refuse_differences(file_name: str, parity: Mapping[str, Mapping[str, float]]) -> None:
    for kind, figures in parity.items():
        if not figures["relative"] <= TOLERANCE:  # also when it is not a number
            raise ParityError(
                f"{file_name} was not written: on a {kind} tile its logits differ from torch's by "
                f"{figures['absolute']:.3g} ({figures['relative']:.1e} of the largest, allowed {TOLERANCE:.0e}); "
                f"{100 * figures['equal_labels']:.3f} % of the labels are equal. "
                "The network does something that ONNX export does not carry over"
            )


def describe(predictor: nnUNetPredictor, files: list[dict[str, Any]]) -> dict[str, Any]:
    """All that a program needs to prepare an image for the files and to read their output."""
    import onnx
    import onnxruntime

    import nnunetv2

    plans, configuration, dataset = predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
    axes = predictor.allowed_mirroring_axes
    return {
        "format": 1,
        "files": files,
        "combination": "mean of the logits of all files",
        "input": {"name": "image", "axes": "batch, channel, then patch axes", "dtype": "float32"},
        "output": {"name": "logits", "axes": "batch, head, then patch axes", "dtype": "float32"},
        "precision": "f32",
        "channel_names": channel_names_of(dataset),
        "spacing_mm": list(configuration.spacing),
        "patch_size": list(configuration.patch_size),
        "tile_step": predictor.tile_step_size,
        "mirroring_axes": None if axes is None else list(axes),
        "transpose_forward": list(plans.transpose_forward),
        "transpose_backward": list(plans.transpose_backward),
        "image_reader_writer": plans.plans["image_reader_writer"],
        "normalization": {
            "schemes": list(configuration.normalization_schemes),
            "use_mask": list(configuration.use_mask_for_norm),
            "foreground_intensity_properties_per_channel": plans.foreground_intensity_properties_per_channel,
        },
        "previous_stage": configuration.previous_stage_name,
        "labels": dataset["labels"],
        "regions_class_order": dataset.get("regions_class_order"),
        "file_ending": dataset["file_ending"],
        "trainer": predictor.trainer_name,
        "plans_name": plans.plans_name,
        "dataset_name": plans.dataset_name,
        "versions": {
            "nnunetv2": getattr(nnunetv2, "__version__", "unknown"),
            "torch": torch.__version__,
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "opset": OPSET,
        },
    }


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
