"""Which augmenter feeds the trainer: in this process, or a pool of worker processes."""

from __future__ import annotations

from queue import Empty

from batchgenerators.dataloading.multi_threaded_augmenter import MultiThreadedAugmenter
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.device_augmenter import DeviceAugmenter
from nnunetv2.training.dataloading.loader_workers import WatchedAugmenter

Augmenter = SingleThreadedAugmenter | NonDetMultiThreadedAugmenter | MultiThreadedAugmenter

_SECONDS_OF_SILENCE = 0.25


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
    workers come in the order they get ready, or in turn if the loader has a seed. Raises WorkerError (a RuntimeError)
    when a worker dies or fails.
    """
    if num_workers == 0:
        augmenters = SingleThreadedAugmenter(train_loader, None), SingleThreadedAugmenter(val_loader, None)
    else:
        augmenters = tuple(
            _pool(loader, workers, ready, pin_memory)
            for loader, (workers, ready) in zip((train_loader, val_loader), queue_sizes(num_workers))
        )
    for augmenter in augmenters:
        next(augmenter)
    return augmenters


def _pool(loader: nnUNetDataLoader, workers: int, ready: int, pin_memory: bool) -> WatchedAugmenter:
    in_turn = getattr(loader, "seed", None) is not None
    if in_turn:
        loader.number_of_threads_in_multithreaded = workers
    return WatchedAugmenter(loader, None, workers, ready, pin_memory=pin_memory, in_turn=in_turn)


def stop_augmenters(*augmenters: Augmenter | DeviceAugmenter | None) -> None:
    """End the worker processes of ``augmenters``; what runs in this process, and None, needs nothing.

    Those of batchgenerators may be there where a trainer of somebody's own made them. Their batches on the way are
    received first: a worker that ends while its tensors are being fetched leaves a traceback.
    """
    for augmenter in augmenters:
        if isinstance(augmenter, DeviceAugmenter):
            stop_augmenters(augmenter.source)
        elif isinstance(augmenter, (WatchedAugmenter, MultiThreadedAugmenter)):
            augmenter._finish()
        elif isinstance(augmenter, NonDetMultiThreadedAugmenter) and augmenter.initialized:
            augmenter.pause_event.set()
            _drain(augmenter)
            augmenter._finish()


def _drain(augmenter: NonDetMultiThreadedAugmenter) -> None:
    """Receive and drop batches until none has come for a while, or a worker died."""
    while not augmenter.abort_event.is_set():
        try:
            augmenter.results_loop_queue.get(timeout=_SECONDS_OF_SILENCE)
        except Empty:
            return
