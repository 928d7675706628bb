"""The part of the predictor that makes labels while the network runs, and stores them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from nnunetv2.errors import UsageError
from nnunetv2.geometry.tiles import padding_to_tile
from nnunetv2.inference.export_prediction import write_case
from nnunetv2.inference.limits.case_limits import plan_for
from nnunetv2.inference.limits.sliced_case import SlicedCase
from nnunetv2.inference.logits_predictor import LogitsPredictor
from nnunetv2.inference.streaming import stock_path
from nnunetv2.inference.streaming.label_targets import LabelTarget
from nnunetv2.inference.streaming.logit_slabs import in_slice_order
from nnunetv2.inference.streaming.slab_export import can_stream
from nnunetv2.inference.streaming.streamed_prediction import predict_case
from nnunetv2.utilities.kept_memory import freed_memory_kept

LARGE_PATCH = 2**18  # 32 channels of so many voxels are 32 MiB

Prediction = np.ndarray | tuple[np.ndarray, np.ndarray]


class StreamingPredictor(LogitsPredictor):
    """Goes from preprocessed data to labels without a volume of logits, where nobody's code asks for one."""

    def _can_stream(self, data: torch.Tensor | SlicedCase) -> bool:
        """Whether labels are made while the network runs; not where somebody's code stands in for a part of it.

        Raises UsageError for a case in parts that cannot be streamed.
        """
        stock = stock_path.is_stock(self) and can_stream(self.label_manager, self.configuration_manager)
        if stock and in_slice_order(self._internal_get_sliding_window_slicers(self._padded_size(data.shape[1:]))):
            return True
        if isinstance(data, SlicedCase):
            raise UsageError(
                "this image does not fit into --max-memory, and a replaced step of prediction needs the whole volume "
                "of logits (documentation/predicting.md lists these steps)"
            )
        return False

    def _padded_size(self, size: Sequence[int]) -> list[int]:
        padding = padding_to_tile(size, self.configuration_manager.patch_size)
        return [length + before + after for length, (before, after) in zip(size, padding)]

    def _stream(
        self, data: torch.Tensor | SlicedCase, properties: dict, ofile: str | None, save_probabilities: bool
    ) -> LabelTarget:
        """Predict one case; its label map is in memory, probabilities that will be written are in a file."""
        # Readers need libraries that nobody should wait for who imports the predictor.
        from nnunetv2.imageio.nifti_slices import can_write_slices

        by_slices = ofile is not None and can_write_slices(
            self.dataset_json["file_ending"], self.plans_manager.image_reader_writer_class, properties
        )

        def predict() -> LabelTarget:
            plan = plan_for(
                *(self, self._padded_size(data.shape[1:]), properties),
                probabilities_in_memory=save_probabilities and ofile is None,
                image_in_memory=not isinstance(data, SlicedCase),
                labels_may_go_to_disk=by_slices,
            )
            return predict_case(
                *(self, data, properties, plan),
                probabilities=save_probabilities,
                scratch_folder=None if ofile is None else os.path.dirname(ofile) or ".",
            )

        with self._prediction_threads():
            try:
                with freed_memory_kept(self._activations_are_large()):
                    return self._finite(predict)
            finally:
                self._fold_in_network = None

    def _activations_are_large(self) -> bool:
        """Whether layers make arrays of 32 MiB and more on the CPU, and memory is not limited."""
        voxels = prod(self.configuration_manager.patch_size)
        return self.device.type == "cpu" and self.max_memory is None and voxels >= LARGE_PATCH

    def _store(self, target: LabelTarget, properties: dict, ofile: str | None) -> Prediction | None:
        """Write one streamed prediction, or return it when there is no output path."""
        try:
            if ofile is None:
                return target.result()
            write_case(
                *(target.segmentation, target.probabilities, properties, self.plans_manager, self.dataset_json, ofile),
                self.probability_format,
                by_slices=target.labels_on_disk,
            )
            return None
        finally:
            target.close()

    def _predict_in_parts(
        self, data: SlicedCase, properties: dict, ofile: str | None, save_probabilities: bool
    ) -> Prediction | None:
        """Predict and store a case whose image is read piece by piece."""
        self._can_stream(data)
        return self._store(self._stream(data, properties, ofile, save_probabilities), properties, ofile)
