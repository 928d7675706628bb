"""One preprocessed case from data to labels, slab by slab: what ties tiles, sums, resampling and labels together."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from nnunetv2.inference import network_calls, patchable
from nnunetv2.inference.limits.memory_plan import MemoryPlan
from nnunetv2.inference.limits.sliced_case import SlicedCase
from nnunetv2.inference.streaming.label_targets import LabelTarget
from nnunetv2.inference.streaming.logit_slabs import (
    Slab,
    SlabSums,
    finished_slabs,
    network_calls_in_order,
    window_length,
)
from nnunetv2.inference.streaming.slab_export import SlabExport, spacings
from nnunetv2.inference.tiling import OUT_OF_MEMORY, pad_to_tile
from nnunetv2.preprocessing.resampling.slab_resampling import stock_settings
from nnunetv2.utilities.helpers import empty_cache

if TYPE_CHECKING:
    from nnunetv2.inference.logits_predictor import LogitsPredictor

logger = logging.getLogger(__name__)


def predict_case(
    predictor: LogitsPredictor,
    data: torch.Tensor | SlicedCase,
    properties: dict,
    plan: MemoryPlan,
    *,
    probabilities: bool = False,
    scratch_folder: str | None = None,
) -> LabelTarget:
    """Labels of preprocessed data (C, Z, Y, X) on the grid of the original image; see ``LabelTarget``.

    Sums and image are on the device if the plan says so; if memory runs out there nevertheless, the case is done again
    with them on the CPU.
    """
    settings = {"probabilities": probabilities, "scratch_folder": scratch_folder}
    if plan.sums_on_device:
        try:
            return _collected(predictor, data, properties, plan, predictor.device, **settings)
        except OUT_OF_MEMORY as error:
            logger.warning(
                "%s has too little memory for this case (%s). Predicting it again with the sums on the CPU, which is "
                "slower; --not_on_device does that at once",
                predictor.device,
                str(error).split(". ")[0],
            )
    # Here the exception is gone, and with it the frames that kept the first attempt's tensors alive.
    empty_cache(predictor.device)
    return _collected(predictor, data, properties, plan, torch.device("cpu"), **settings)


def _collected(
    predictor: LogitsPredictor,
    data: torch.Tensor | SlicedCase,
    properties: dict,
    plan: MemoryPlan,
    where: torch.device,
    *,
    probabilities: bool,
    scratch_folder: str | None,
) -> LabelTarget:
    label_manager, plans_manager = predictor.label_manager, predictor.plans_manager
    target = LabelTarget(
        *(properties, plans_manager.transpose_backward, label_manager, probabilities),
        scratch_folder=scratch_folder,
        labels_on_disk=plan.labels_on_disk,
    )
    export = SlabExport(
        data.shape[1:],
        properties["shape_after_cropping_and_before_resampling"],
        *spacings(plans_manager, predictor.configuration_manager, properties),
        stock_settings(predictor.configuration_manager.resampling_fn_probabilities, allowed_orders=(1,)),
        label_manager,
        probabilities=probabilities,
        device=where,
        threads=plan.label_threads,
    )
    try:
        with export:
            for first, logits in logit_slabs(predictor, data, where, plan.slices_per_slab):
                for run in export.add(first, logits):
                    target.write(run)
    except BaseException:
        target.close()
        raise
    return target


def logit_slabs(
    predictor: LogitsPredictor, data: torch.Tensor | SlicedCase, where: torch.device, slices_per_slab: int
) -> Iterator[Slab]:
    """Slabs of mean logits over all folds, in order, on ``where``, without the padding."""
    patch_size = tuple(predictor.configuration_manager.patch_size)
    folds = predictor._folds()
    image: torch.Tensor | SlicedCase
    if isinstance(data, SlicedCase):
        image, inner = data.padded(patch_size)
        size: tuple[int, ...] = image.padded_size
    else:
        image, inner = pad_to_tile(data, patch_size)
        image, size = image.to(where), tuple(image.shape[1:])
    slicers = predictor._internal_get_sliding_window_slicers(size)
    calls = network_calls_in_order(slicers, folds, predictor.tiles_per_call, size[0])
    sums = SlabSums(
        *(folds, predictor.label_manager.num_segmentation_heads, window_length(slicers), size[1:]),
        importance=predictor._importance(where) if predictor.use_gaussian else None,
        dtype=predictor._sums_dtype(),
        device=where,
    )
    with predictor._network_lock:
        network_calls.make_ready(predictor.network, predictor.device)
    slabs = finished_slabs(
        predictor._predict_locked,
        image,
        patchable.names().tqdm(calls, desc="tiles", disable=not predictor.allow_tqdm),
        sums,
        sums_device=where,
        network_device=predictor.device,
        slices_per_slab=slices_per_slab,
    )
    for first, logits in slabs:
        yield from _without_padding(first, logits, inner)


def _without_padding(first: int, logits: torch.Tensor, inner: Any) -> Iterator[Slab]:
    along_z = inner[1]
    start, stop = max(first, along_z.start), min(first + logits.shape[1], along_z.stop)
    if start < stop:
        yield start - along_z.start, logits[:, start - first : stop - first, inner[2], inner[3]]
