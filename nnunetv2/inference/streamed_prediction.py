"""One preprocessed case from data to labels, slab by slab: what ties tiles, sums, resampling and labels together."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from nnunetv2.inference import network_calls, patchable
from nnunetv2.inference.label_targets import LabelTarget
from nnunetv2.inference.logit_slabs import (
    Slab,
    SlabSums,
    finished_slabs,
    network_calls_in_order,
    window_length,
)
from nnunetv2.inference.slab_export import SlabExport, spacings
from nnunetv2.inference.tiling import OUT_OF_MEMORY, pad_to_tile
from nnunetv2.preprocessing.resampling.slab_resampling import stock_settings
from nnunetv2.utilities.helpers import empty_cache

if TYPE_CHECKING:
    from nnunetv2.inference.logits_predictor import LogitsPredictor

logger = logging.getLogger(__name__)

# Finished logits are handed on in pieces of about so many bytes.
_BYTES_PER_SLAB = 1 << 24


def predict_case(
    predictor: LogitsPredictor,
    data: torch.Tensor,
    properties: dict,
    *,
    probabilities: bool = False,
    scratch_folder: str | None = None,
) -> LabelTarget:
    """Labels of preprocessed data (C, Z, Y, X) on the grid of the original image; see ``LabelTarget``.

    Sums and image are on the device if the predictor wants everything there; if memory runs out, the case is done again
    with them on the CPU.
    """
    settings = {"probabilities": probabilities, "scratch_folder": scratch_folder}
    if predictor.perform_everything_on_device:
        try:
            return _collected(predictor, data, properties, predictor.device, **settings)
        except OUT_OF_MEMORY as error:
            logger.warning(
                "%s has too little memory for this case (%s). Predicting it again with the sums on the CPU, which is "
                "slower; --not_on_device does that at once",
                predictor.device,
                str(error).split(". ")[0],
            )
    # Here the exception is gone, and with it the frames that kept the first attempt's tensors alive.
    empty_cache(predictor.device)
    return _collected(predictor, data, properties, torch.device("cpu"), **settings)


def _collected(
    predictor: LogitsPredictor,
    data: torch.Tensor,
    properties: dict,
    where: torch.device,
    *,
    probabilities: bool,
    scratch_folder: str | None,
) -> LabelTarget:
    label_manager, plans_manager = predictor.label_manager, predictor.plans_manager
    target = LabelTarget(properties, plans_manager.transpose_backward, label_manager, probabilities, scratch_folder)
    export = SlabExport(
        data.shape[1:],
        properties["shape_after_cropping_and_before_resampling"],
        *spacings(plans_manager, predictor.configuration_manager, properties),
        stock_settings(predictor.configuration_manager.resampling_fn_probabilities, allowed_orders=(1,)),
        label_manager,
        probabilities=probabilities,
        device=where,
        threads=torch.get_num_threads(),
    )
    try:
        with export:
            for first, logits in logit_slabs(predictor, data, where):
                for run in export.add(first, logits):
                    target.write(run)
    except BaseException:
        target.close()
        raise
    return target


def logit_slabs(predictor: LogitsPredictor, data: torch.Tensor, where: torch.device) -> Iterator[Slab]:
    """Slabs of mean logits over all folds, in order, on ``where``, without the padding."""
    heads = predictor.label_manager.num_segmentation_heads
    patch_size = tuple(predictor.configuration_manager.patch_size)
    folds = predictor._folds()
    padded, inner = pad_to_tile(data, patch_size)
    slicers = predictor._internal_get_sliding_window_slicers(padded.shape[1:])
    calls = network_calls_in_order(slicers, folds, predictor.tiles_per_call, padded.shape[1])
    plane = padded.shape[2:]
    sums = SlabSums(
        *(folds, heads, window_length(slicers), plane),
        importance=predictor._importance(where) if predictor.use_gaussian else None,
        dtype=predictor.accumulator_dtype,
        device=where,
    )
    slice_bytes = heads * plane[0] * plane[1] * torch.finfo(predictor.accumulator_dtype).bits // 8
    slabs = finished_slabs(
        predictor._predict_locked,
        padded.to(where),
        patchable.names().tqdm(calls, desc="tiles", disable=not predictor.allow_tqdm),
        sums,
        sums_device=where,
        network_device=predictor.device,
        slices_per_slab=max(1, _BYTES_PER_SLAB // slice_bytes),
    )
    network_calls.make_ready(predictor.network, predictor.device)
    for first, logits in slabs:
        yield from _without_padding(first, logits, inner)


def _without_padding(first: int, logits: torch.Tensor, inner: Any) -> Iterator[Slab]:
    along_z = inner[1]
    start, stop = max(first, along_z.start), min(first + logits.shape[1], along_z.stop)
    if start < stop:
        yield start - along_z.start, logits[:, start - first : stop - first, inner[2], inner[3]]
