"""nnUNetDataLoaderBase: the data loader under the name, and with the batches, of nnU-Net 2.0 to 2.5."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.utilities.label_handling.label_handling import LabelManager


class nnUNetDataLoaderBase(nnUNetDataLoader):
    """``nnUNetDataLoader`` for code written for nnU-Net 2.0 to 2.5; parameters as there.

    The data set may be an old one: a mapping whose ``load_case`` gives ``(data, seg, properties)``, with the labels of
    the previous stage as channel 1 of ``seg``. Without transforms a batch is what the dict-style pipelines expect:
    arrays ``data`` float32 (B, C, *patch) and ``seg`` int16 (B, 1 or 2, *patch), lists ``properties`` and ``keys``.
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        patch_size: Sequence[int],
        final_patch_size: Sequence[int],
        label_manager: LabelManager,
        oversample_foreground_percent: float = 0.0,
        sampling_probabilities: Sequence[float] | None = None,
        pad_sides: Sequence[int] | None = None,
        probabilistic_oversampling: bool = False,
        transforms: Callable[..., dict] | None = None,
    ):
        super().__init__(
            data,
            batch_size,
            patch_size,
            final_patch_size,
            label_manager,
            oversample_foreground_percent,
            sampling_probabilities,
            pad_sides,
            probabilistic_oversampling,
            transforms,
        )

    @staticmethod
    def _identifiers_of(data: Any) -> Sequence[str]:
        return data.identifiers if hasattr(data, "identifiers") else list(data.keys())

    def _load_case(self, key: str) -> tuple[Any, Any, Any, Mapping[str, Any]]:
        loaded = super()._load_case(key)
        if len(loaded) == 4:
            return loaded
        data, seg, properties = loaded
        return data, seg, None, properties

    def determine_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """As in ``nnUNetDataLoader``, with 2 spatial axes for 2D patches."""
        shapes = super().determine_shapes()
        return tuple((*shape[:2], *shape[3:]) for shape in shapes) if self.patch_size_was_2d else shapes

    def generate_train_batch(self) -> dict[str, Any]:
        """The next batch; see the class for its content."""
        if self.transforms is not None:
            return super().generate_train_batch()
        keys, patches = self._draw_patches()
        images, labels, properties = zip(*patches)
        data, seg = (np.stack([patch.read().numpy() for patch in side]) for side in (images, labels))
        return {"data": data, "seg": seg, "properties": list(properties), "keys": keys}
