"""Augmenters: in this process or a pool, running when handed out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from batchgenerators.dataloading.single_threaded_augmenter import SingleThreadedAugmenter

from nnunetv2.training.data_augmentation.custom_transforms.limited_length_multithreaded_augmenter import (
    LimitedLenWrapper,
)
from nnunetv2.training.data_augmentation.default_pipeline import validation_transforms
from nnunetv2.training.dataloading.augmenters import queue_sizes, start_augmenters, stop_augmenters
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from tests.training.dataloading.fakes import FakeDataset, label_manager


class CountingLoader(nnUNetDataLoader):
    served = 0

    def generate_train_batch(self):
        self.served += 1
        return super().generate_train_batch()


def loader(**more):
    return CountingLoader(
        FakeDataset((8, 8, 8)), 2, (8, 8, 8), (8, 8, 8), label_manager(), transforms=validation_transforms(None), **more
    )


@pytest.mark.parametrize(
    ("workers", "training", "validation"),
    [(1, (1, 6), (1, 3)), (2, (2, 6), (1, 3)), (12, (12, 6), (6, 3)), (32, (32, 16), (16, 8))],
)
def test_pool_and_queue_sizes(workers, training, validation):
    assert queue_sizes(workers) == (training, validation)


def test_zero_workers_make_batches_in_this_process_one_drawn_already():
    train_loader, val_loader = loader(), loader()
    train, val = start_augmenters(train_loader, val_loader, 0, pin_memory=False)
    assert isinstance(train, SingleThreadedAugmenter)
    assert isinstance(val, SingleThreadedAugmenter)
    assert (train_loader.served, val_loader.served) == (1, 1)
    assert next(train)["data"].shape == (2, 2, 8, 8, 8)


def test_a_seed_makes_a_run_without_workers_repeatable():
    states = torch.get_rng_state(), np.random.get_state()
    runs = []
    for _ in range(2):
        train, _ = start_augmenters(loader(seed=3), loader(), 0, pin_memory=False)
        runs.append([list(next(train)["keys"]) for _ in range(5)])
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    assert runs[0] == runs[1]


def test_workers_are_processes_that_run_already():
    augmenters = start_augmenters(loader(), loader(), 2, pin_memory=False)
    try:
        assert all(isinstance(augmenter, NonDetMultiThreadedAugmenter) for augmenter in augmenters)
        assert [len(augmenter._processes) for augmenter in augmenters] == [2, 1]
        assert [augmenter.num_cached for augmenter in augmenters] == [6, 3]
        assert all(process.is_alive() for augmenter in augmenters for process in augmenter._processes)
        assert next(augmenters[0])["target"].shape == (2, 1, 8, 8, 8)
    finally:
        stop_augmenters(*augmenters)


def test_stopping_ends_the_processes_quietly_and_twice_does_no_harm(recwarn):
    augmenters = start_augmenters(loader(), loader(), 1, pin_memory=False)
    processes = [process for augmenter in augmenters for process in augmenter._processes]
    stop_augmenters(*augmenters)
    stop_augmenters(*augmenters, None, SingleThreadedAugmenter(loader(), None))
    assert not any(process.is_alive() for process in processes)
    assert not any(augmenter.initialized for augmenter in augmenters)
    assert not recwarn.list


def test_the_limited_augmenter_reports_its_length():
    augmenter = LimitedLenWrapper(250, data_loader=loader(), transform=None, num_processes=1)
    assert len(augmenter) == 250
    assert augmenter.num_processes == 1
