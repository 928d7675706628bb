"""No two augmentation workers draw the same random numbers."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest
import torch
from batchgenerators.dataloading.data_loader import DataLoader
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter

from nnunetv2.training.dataloading.augmenters import start_augmenters, stop_augmenters
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.random_streams import seed_worker
from tests.training.dataloading.fakes import FakeDataset, label_manager


def draws():
    return torch.rand(3).tolist(), np.random.uniform(size=3).tolist(), [random.random() for _ in range(3)]


@pytest.fixture(autouse=True)
def restored_streams():
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    yield
    torch.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])


def draws_of(worker, seed=None):
    seed_worker(worker, seed)
    return draws()


def test_without_a_seed_every_stream_is_new():
    first, second = draws_of(0), draws_of(0)
    assert all(a != b for a, b in zip(first, second))


def test_with_a_seed_the_streams_depend_on_seed_and_worker_only():
    assert draws_of(0, 7) == draws_of(0, 7)
    assert all(a != b for a, b in zip(draws_of(0, 7), draws_of(1, 7)))
    assert all(a != b for a, b in zip(draws_of(0, 7), draws_of(0, 8)))


def first_draws(image, segmentation):
    """A transform whose results are the process it ran in and what the generators gave."""
    return {
        "image": torch.tensor([torch.rand(1).item(), np.random.uniform(), random.random()], dtype=torch.float64),
        "segmentation": torch.tensor([os.getpid()]),
    }


class SharedTorchStream(nnUNetDataLoader):
    """The loader without its own seeding, as a control."""

    def set_thread_id(self, thread_id):
        DataLoader.set_thread_id(self, thread_id)


def first_draws_of_two_workers(loader_class, **more):
    loader = loader_class(
        FakeDataset((4, 4, 4)), 1, (4, 4, 4), (4, 4, 4), label_manager(), transforms=first_draws, **more
    )
    augmenter = NonDetMultiThreadedAugmenter(loader, None, 2, 4, seeds=None, pin_memory=False, wait_time=0.002)
    found = {}
    try:
        for _ in range(2000):
            batch = next(augmenter)
            found.setdefault(batch["target"].item(), batch["data"][0].tolist())
            if len(found) == 2:
                break
    finally:
        stop_augmenters(augmenter)
    first, second = found.values()
    return first, second


def test_two_worker_processes_draw_different_numbers_from_every_generator():
    first, second = first_draws_of_two_workers(nnUNetDataLoader)
    assert all(a != b for a, b in zip(first, second))


def test_without_the_seeding_of_the_loader_workers_share_the_torch_stream():
    first, second = first_draws_of_two_workers(SharedTorchStream)
    assert first[0] == second[0]


def test_a_seeded_loader_repeats_the_draws_of_each_worker():
    runs = [sorted(first_draws_of_two_workers(nnUNetDataLoader, seed=5)) for _ in range(2)]
    assert runs[0] == runs[1]


def keys_and_draws(workers: int, first: int, count: int) -> list[tuple]:
    """What the batches after the first, which is dropped, are made of."""
    size = (4, 4, 4)
    loaders = [
        nnUNetDataLoader(
            FakeDataset(size), 2, size, size, label_manager(), transforms=first_draws, seed=5, first_batch=first
        )
        for _ in range(2)
    ]
    augmenter, other = start_augmenters(*loaders, workers, pin_memory=False)
    try:
        batches = [next(augmenter) for _ in range(count)]
        return [(list(batch["keys"]), batch["data"].tolist()) for batch in batches]
    finally:
        stop_augmenters(augmenter, other)


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_a_batch_follows_from_its_number_whoever_makes_it(workers):
    expected = keys_and_draws(0, 0, 7)
    assert len({str(batch) for batch in expected}) == 7
    assert keys_and_draws(workers, 0, 7) == expected
    assert keys_and_draws(workers, 3, 4) == expected[3:]
