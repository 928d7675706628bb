"""nnUNetDataLoader: endless random patches of preprocessed cases, transformed and stacked into batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import torch
from batchgenerators.dataloading.data_loader import DataLoader

from nnunetv2.errors import DatasetError, UsageError
from nnunetv2.training.dataloading.patch_sampling import (
    ClassKey,
    ClassLocations,
    is_forced_by_chance,
    is_forced_by_position,
    select_box,
)
from nnunetv2.training.dataloading.random_streams import seed_batch, seed_worker
from nnunetv2.training.dataloading.stored_patch import StoredPatch
from nnunetv2.utilities.label_handling.label_handling import LabelManager

OUTSIDE_LABEL = -1


class nnUNetDataLoader(DataLoader):
    """Draws cases with replacement, crops a patch of each, and applies the transforms sample by sample.

    Parameters
    ----------
    data : a data set with ``identifiers`` and ``load_case(key) -> (data, seg, seg_prev or None, properties)``.
    batch_size : samples per batch.
    patch_size : patch to crop, voxels, 2 or 3 entries; for training larger than the final one.
    final_patch_size : patch after the transforms; the difference is how far patches may reach past the image.
    label_manager : tells whether there is an ignore label.
    oversample_foreground_percent : share (0 to 1) of samples that are centred on foreground.
    sampling_probabilities : probability of each case, in the order of ``data.identifiers``; None for all alike.
    pad_sides : voxels per axis by which patches may reach past the image in addition.
    probabilistic_oversampling : draw for each sample whether it is forced, instead of forcing the last ones.
    transforms : called as ``transforms(image=..., segmentation=...)`` for each sample; gives a dict with both.
    seed : makes every batch follow from this and its number; None takes entropy from the operating system.
    first_batch : number of the first batch. Of several workers each makes every so many-th.

    A batch is a dict: ``data`` float32 tensor (B, C, *patch); ``target`` int16 tensor (B, 1, *patch), bool (B, R,
    *patch) for regions, or a list of these from high to low resolution; ``keys``, the identifiers. 2D patches are
    slices of axis 0 of 3D cases and come without that axis.

    Raises UsageError when patch sizes have unequal or unsupported lengths.
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
        seed: int | None = None,
        first_batch: int = 0,
    ):
        super().__init__(
            data,
            batch_size,
            num_threads_in_multithreaded=1,
            seed_for_shuffle=None,
            return_incomplete=True,
            shuffle=False,
            infinite=True,
            sampling_probabilities=sampling_probabilities,
        )
        if len(patch_size) not in (2, 3) or len(patch_size) != len(final_patch_size):
            raise UsageError(
                f"patch sizes need 2 or 3 entries, the same number each; got {list(patch_size)} to load and "
                f"{list(final_patch_size)} in the end"
            )
        self.indices = self._identifiers_of(data)
        self.patch_size_was_2d = len(patch_size) == 2
        self.patch_size = self._as_3d(patch_size, 1)
        self.final_patch_size = self._as_3d(final_patch_size, 1)
        self.need_to_pad = np.array(self.patch_size) - np.array(self.final_patch_size)
        if pad_sides is not None:
            self.need_to_pad = self.need_to_pad + np.array(self._as_3d(pad_sides, 0))
        self.pad_sides = pad_sides
        self.oversample_foreground_percent = oversample_foreground_percent
        self.probabilistic_oversampling = probabilistic_oversampling
        self.annotated_classes_key = (-1, *label_manager.all_labels)
        self.has_ignore = label_manager.has_ignore_label
        self.transforms = transforms
        self.seed = seed
        self.first_batch = self._next_batch = first_batch
        self.keys_at_work: Sequence[str] = ()  # for messages about what went wrong with a batch

    @staticmethod
    def _identifiers_of(data: Any) -> Sequence[str]:
        return data.identifiers

    @staticmethod
    def _as_3d(sizes: Sequence[int], first: int) -> tuple[int, ...]:
        sizes = tuple(int(size) for size in sizes)
        return (first, *sizes) if len(sizes) == 2 else sizes

    def set_thread_id(self, thread_id: int) -> None:
        """Called once in each worker process: gives it random streams, and with a seed batches, of its own."""
        super().set_thread_id(thread_id)
        seed_worker(thread_id, self.seed)
        self._next_batch = self.first_batch + thread_id

    def __next__(self) -> dict[str, Any]:
        if self.seed is not None:
            seed_batch(self._next_batch, self.seed)
            self._next_batch += self.number_of_threads_in_multithreaded
        return super().__next__()

    def get_do_oversample(self, sample_idx: int) -> bool:
        """Whether the sample at this position of the batch is centred on foreground."""
        if self.probabilistic_oversampling:
            return is_forced_by_chance(self.oversample_foreground_percent, np.random)
        return is_forced_by_position(sample_idx, self.batch_size, self.oversample_foreground_percent)

    def get_bbox(
        self,
        data_shape: Sequence[int],
        force_fg: bool,
        class_locations: ClassLocations | None,
        overwrite_class: ClassKey | None = None,
        verbose: bool = False,
    ) -> tuple[list[int], list[int]]:
        """``(start, stop)`` per spatial axis of a patch in a case of spatial shape ``data_shape``; see ``select_box``.

        ``verbose`` is accepted for older callers and has no effect.
        """
        axes = len(data_shape)  # older 2D loaders pass a slice: 2 axes, and class locations with 2 coordinates
        return select_box(
            data_shape,
            self.patch_size[-axes:],
            self.need_to_pad[-axes:],
            force_fg,
            class_locations,
            np.random,
            self.annotated_classes_key if self.has_ignore else None,
            overwrite_class,
        )

    def generate_train_batch(self) -> dict[str, Any]:
        """The next batch; see the class for its content."""
        keys, patches = self._draw_patches()
        if self.transforms is None:
            return stack_samples([(image.read(), labels.read()) for image, labels, _ in patches], keys)
        with torch.no_grad(), single_torch_thread():
            return stack_samples([self._transform(image, labels) for image, labels, _ in patches], keys)

    def _draw_patches(self) -> tuple[Sequence[str], list[tuple[StoredPatch, StoredPatch, Mapping[str, Any]]]]:
        keys = self.keys_at_work = self.get_indices()
        return keys, [self._choose_patch(key, self.get_do_oversample(j)) for j, key in enumerate(keys)]

    def _choose_patch(self, key: str, force_fg: bool) -> tuple[StoredPatch, StoredPatch, Mapping[str, Any]]:
        """Image float32 (C, *patch), labels int16 (1 or 2, *patch) and properties of one case, untransformed."""
        data, seg, previous, properties = self._load_case(key)
        try:
            start, stop = self.get_bbox(tuple(data.shape[1:]), force_fg, properties.get("class_locations"))
        except DatasetError as error:
            raise DatasetError(f"case {key}: {error}") from error
        labels = [seg] if previous is None else [seg, previous]
        flat = self.patch_size_was_2d
        return (
            StoredPatch([data], start, stop, 0, np.float32, flat),
            StoredPatch(labels, start, stop, OUTSIDE_LABEL, np.int16, flat),
            properties,
        )

    def _load_case(self, key: str) -> tuple[Any, Any, Any, Mapping[str, Any]]:
        return self._data.load_case(key)

    def _transform(self, image: StoredPatch, labels: StoredPatch) -> tuple[torch.Tensor, Any]:
        # Not before a batch is made: this loads pandas, which commands that only import trainers need not wait for.
        from nnunetv2.training.data_augmentation.spatial import reads_patches

        if reads_patches(self.transforms):
            result = self.transforms(image=image, segmentation=labels)
        else:
            result = self.transforms(image=image.read(), segmentation=labels.read())
        return result["image"], result["segmentation"]

    def determine_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of the data and segmentation of an untransformed batch, (B, channels, *patch), from the first case."""
        data, seg, previous, _ = self._load_case(self.indices[0])
        channels_seg = seg.shape[0] + (previous is not None)
        return (
            (self.batch_size, data.shape[0], *self.patch_size),
            (self.batch_size, channels_seg, *self.patch_size),
        )

    @cached_property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of an untransformed batch of images; older overrides of ``generate_train_batch`` allocate with it."""
        return self.determine_shapes()[0]

    @cached_property
    def seg_shape(self) -> tuple[int, ...]:
        """Shape of an untransformed batch of segmentations; see ``data_shape``."""
        return self.determine_shapes()[1]


def stack_samples(samples: Sequence[tuple[torch.Tensor, Any]], keys: Sequence[str]) -> dict[str, Any]:
    """The batch of these pairs of image and target; see ``nnUNetDataLoader`` for its content."""
    images, segmentations = zip(*samples)
    return {"data": torch.stack(images), "target": _stack_targets(segmentations), "keys": keys}


def _stack_targets(segmentations: Sequence[Any]) -> torch.Tensor | list[torch.Tensor]:
    if isinstance(segmentations[0], (list, tuple)):
        return [torch.stack(resolution) for resolution in zip(*segmentations)]
    return torch.stack(segmentations)


@contextmanager
def single_torch_thread() -> Iterator[None]:
    """One torch thread inside the block; the count of before afterwards."""
    before = torch.get_num_threads()
    if before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
