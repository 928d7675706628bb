"""Which augmenter feeds the trainer: in this process, or a pool of worker processes."""

from __future__ import annotations

from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader

Augmenter = SingleThreadedAugmenter | NonDetMultiThreadedAugmenter

_SECONDS_BETWEEN_POLLS = 0.002


def queue_sizes(num_workers: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """``(workers, batches kept ready)`` for training and for validation, given the workers for training."""
    return (num_workers, max(6, num_workers // 2)), (max(1, num_workers // 2), max(3, num_workers // 4))


def start_augmenters(
    train_loader: nnUNetDataLoader, val_loader: nnUNetDataLoader, num_workers: int, pin_memory: bool
) -> tuple[Augmenter, Augmenter]:
    """Endless iterators over training and validation batches, running.

    Parameters
    ----------
    train_loader, val_loader : transforms included.
    num_workers : processes for training, half as many run for validation; 0 makes batches here when asked for.
    pin_memory : copy batches to page-locked memory, for CUDA.

    One batch of each is drawn and dropped, so that workers start now and failures show here. Batches of several
    workers come in the order they get ready. Raises RuntimeError when a worker dies.
    """
    if num_workers == 0:
        if getattr(train_loader, "seed", None) is not None:
            train_loader.set_thread_id(0)
        augmenters = SingleThreadedAugmenter(train_loader, None), SingleThreadedAugmenter(val_loader, None)
    else:
        augmenters = tuple(
            NonDetMultiThreadedAugmenter(
                loader, None, workers, ready, seeds=None, pin_memory=pin_memory, wait_time=_SECONDS_BETWEEN_POLLS
            )
            for loader, (workers, ready) in zip((train_loader, val_loader), queue_sizes(num_workers))
        )
    for augmenter in augmenters:
        next(augmenter)
    return augmenters


def stop_augmenters(*augmenters: Augmenter | None) -> None:
    """End the worker processes of ``augmenters``; what runs in this process, and None, needs nothing."""
    for augmenter in augmenters:
        if isinstance(augmenter, NonDetMultiThreadedAugmenter):
            augmenter._finish()
