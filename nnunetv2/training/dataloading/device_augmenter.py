"""Augmentation on the training device: patches come untransformed from the loaders, and are transformed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from nnunetv2.training.dataloading.data_loader import stack_samples


class DeviceAugmenter:
    """Endless iterator over the batches of ``source``, whose loader has no transforms, with ``transforms`` applied.

    They work sample by sample as in the loaders, with the same parameters drawn from the same distributions, on
    tensors of ``device``; what a transform creates is created there, too.
    """

    def __init__(self, source: Any, transforms: Callable[..., dict], device: torch.device):
        self.source, self.transforms, self.device = source, transforms, device

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        batch = next(self.source)
        images, labels = (batch[key].to(self.device, non_blocking=True) for key in ("data", "target"))
        with torch.no_grad(), torch.device(self.device):
            samples = [self.transforms(image=image, segmentation=label) for image, label in zip(images, labels)]
        return stack_samples([(s["image"], s["segmentation"]) for s in samples], batch["keys"])
